// Cache.
import { html } from "../vendor/preact-htm.js";

export const title = "Cache";

export function Page() {
  return html`<h1>Cache</h1>`;
}
