// Thread.
import { html } from "../vendor/preact-htm.js";

export const title = "Thread";

export function Page() {
  return html`<h1>Thread</h1>`;
}
