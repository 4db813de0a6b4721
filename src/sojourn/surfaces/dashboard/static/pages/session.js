// Session.
import { html } from "../vendor/preact-htm.js";

export const title = "Session";

export function Page() {
  return html`<h1>Session</h1>`;
}
