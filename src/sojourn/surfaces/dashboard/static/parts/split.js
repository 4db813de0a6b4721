// A list and, beside it, what was chosen in it. On a narrow page one stands in the other's place.
import { html, useEffect, useRef } from "../vendor/preact-htm.js";
import { useKeys } from "./keys.js";
import { setQuery } from "./router.js";

/** `list` and, when `detail` is given, that beside it. */
export const Split = ({ list, detail }) =>
  html`<div class=${`split${detail ? " open" : ""}`}>
    <div class="split-list">${list}</div>
    ${detail}
  </div>`;

/**
 * What was chosen: `heading`, then what is inside. `names` are the names in the query string that
 * chose it: closing takes them out. `actions` stand beside the heading.
 */
export function Detail({ heading, names, actions, label, children }) {
  const title = useRef(null);
  const close = () => setQuery(Object.fromEntries(names.map((name) => [name, undefined])), { replace: false });
  useEffect(() => {
    const list = title.current.closest(".split")?.querySelector(".split-list");
    if (list && !list.offsetParent) {
      title.current.focus();
      scrollTo(0, 0);
    }
  }, [label]);
  useKeys({ Escape: ["Close what is open", close] });
  return html`<section class="split-detail card" aria-label=${label}>
    <header class="detail-head">
      <h2 ref=${title} tabindex="-1">${heading}</h2>
      <div class="actions">${actions}<button type="button" class="icon-button" aria-label="Close" title="Close (Esc)" onClick=${close}>×</button></div>
    </header>
    ${children}
  </section>`;
}

/** A definition list: [[name, what], …]; those that are not set are left out. */
export const Pairs = ({ pairs }) =>
  html`<dl class="pairs">
    ${pairs.filter(([, what]) => what || what === 0).map(
      ([name, what]) => html`<dt>${name}</dt><dd>${what}</dd>`,
    )}
  </dl>`;

/** Sealed content of which this server has no key. */
export const SealedBadge = ({ sealed }) => {
  const key = sealed?.key_id ?? sealed?.key;
  return html`<span class="badge warn" title=${key ? `Sealed with the key ${key}` : undefined}>sealed</span>`;
};
