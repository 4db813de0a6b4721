// What stands where data would: loading, nothing there, and not knowable.
import { html } from "../vendor/preact-htm.js";
import { visible } from "./text.js";

/** Grey bars while the first answer is on its way. */
export function Loading({ rows = 5, label = "Loading" }) {
  return html`<div class="skeleton" role="status" aria-label=${label}>
    ${Array.from({ length: rows }, () => html`<div class="bone"></div>`)}
  </div>`;
}

/** Nothing is there, and the server said so. */
export function Empty({ title, children }) {
  return html`<div class="empty">
    <p class="empty-title">${title}</p>
    ${children && html`<p class="muted">${children}</p>`}
  </div>`;
}

/** A call failed. An outage says that nobody knows what is there, and is tried again by itself. */
export function Failure({ error, retry, known = false }) {
  if (!error) return null;
  const outage = error.outage;
  const missing = error.status === 404;
  const title = outage
    ? error.status === 0
      ? "The server does not answer"
      : "The store does not answer"
    : missing
      ? "Not there"
      : error.title || "That did not work";
  const id = error.problem?.instance;
  return html`<div class=${`failure${outage ? " outage" : ""}`} role="alert">
    <div>
      <p class="failure-title">${visible(title)}</p>
      <p>${visible(error.message)}</p>
      ${outage &&
      html`<p>
        ${known
          ? "What you see is what was last known."
          : "This does not mean that nothing is there."}${" "}
        The page tries again by itself.
      </p>`}
      ${id && html`<p class="muted small">Request <code>${visible(id)}</code></p>`}
    </div>
    ${retry && html`<button type="button" class="button" onClick=${retry}>Try again</button>`}
  </div>`;
}

/** The usual three: the failure, the skeleton, or what `children(data)` makes of the data. */
export function Loaded({ resource, rows, children }) {
  const { data, error, loading, reload } = resource;
  return html`
    <${Failure} error=${error} retry=${reload} known=${data !== null} />
    ${loading && html`<${Loading} rows=${rows} />`}
    ${data !== null && children(data)}
  `;
}
