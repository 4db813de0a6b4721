// Quarantine.
import { html } from "../vendor/preact-htm.js";

export const title = "Quarantine";

export function Page() {
  return html`<h1>Quarantine</h1>`;
}
