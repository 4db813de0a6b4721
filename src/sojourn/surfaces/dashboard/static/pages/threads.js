// Threads.
import { html } from "../vendor/preact-htm.js";

export const title = "Threads";

export function Page() {
  return html`<h1>Threads</h1>`;
}
