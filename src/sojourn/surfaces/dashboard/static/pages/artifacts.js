// Artifacts.
import { html } from "../vendor/preact-htm.js";

export const title = "Artifacts";

export function Page() {
  return html`<h1>Artifacts</h1>`;
}
