// Doctor.
import { html } from "../vendor/preact-htm.js";

export const title = "Doctor";

export function Page() {
  return html`<h1>Doctor</h1>`;
}
