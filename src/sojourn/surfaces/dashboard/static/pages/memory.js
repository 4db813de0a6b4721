// Memory.
import { html } from "../vendor/preact-htm.js";

export const title = "Memory";

export function Page() {
  return html`<h1>Memory</h1>`;
}
