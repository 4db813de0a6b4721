// Tables of rows that are links, and lists that come in pages.
import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { useKeys } from "./keys.js";
import { Empty, Failure, Loading } from "./states.js";

/**
 * `columns`: [{name, label, render(row), class, narrow: false}] (false: hidden on a narrow page).
 * `rowKey(row)` tells rows apart. j and k move over the rows' first links, Enter opens one.
 */
export function Table({ columns, rows, rowKey, caption, stale = false }) {
  const body = useRef(null);
  const move = (by) => {
    const links = [...body.current.querySelectorAll("tr")].map((row) => row.querySelector("a, button")).filter(Boolean);
    const now = links.findIndex((link) => link.closest("tr").contains(document.activeElement));
    const next = links[Math.max(0, Math.min(links.length - 1, now + by))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  };
  useKeys({
    j: ["Next row", () => move(1)],
    k: ["Row before", () => move(-1)],
  });
  return html`<div class=${`table-box${stale ? " stale" : ""}`}>
    <table aria-busy=${stale ? "true" : undefined}>
      <caption class="hidden">${caption}</caption>
      <thead>
        <tr>
          ${columns.map((column) => html`<th scope="col" class=${classes(column)}>${column.label}</th>`)}
        </tr>
      </thead>
      <tbody ref=${body}>
        ${rows.map(
          (row, n) => html`<tr key=${rowKey ? rowKey(row) : n}>
            ${columns.map((column) => html`<td class=${classes(column)}>${column.render(row)}</td>`)}
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

const classes = ({ class: own = "", narrow = true }) => `${own}${narrow ? "" : " wide-only"}`;

const BY_ITSELF = 500;

/**
 * A list of `usePages` as a table: skeleton, failure, empty, rows, and more while one scrolls.
 * Up to 500 rows come by themselves, more by the button. `empty` is what to say of none.
 */
export function PagedTable({ pages, columns, rowKey, caption, empty }) {
  const end = useRef(null);
  const { items, more, busy, error } = pages;
  const loadMore = useRef(pages.loadMore);
  loadMore.current = pages.loadMore;
  const [near, setNear] = useState(false);
  useEffect(() => {
    if (!end.current) return undefined;
    const watch = new IntersectionObserver(([entry]) => setNear(entry.isIntersecting), { rootMargin: "400px" });
    watch.observe(end.current);
    return () => watch.disconnect();
  }, [more]);
  useEffect(() => {
    if (near && more && !busy && !error && items.length < BY_ITSELF) loadMore.current();
  }, [near, more, busy, items.length]);
  return html`
    <${Failure} error=${error} retry=${pages.reload} known=${items.length > 0} />
    ${pages.loading && html`<${Loading} rows=${8} />`}
    ${pages.first && !items.length && !more && !error && !pages.stale && (empty || html`<${Empty} title="Nothing here" />`)}
    ${items.length > 0 && html`<${Table} columns=${columns} rows=${items} rowKey=${rowKey} caption=${caption} stale=${pages.stale} />`}
    ${pages.first && !items.length && more && html`<p class="muted">Nothing found so far.</p>`}
    ${more &&
    html`<p class="more" ref=${end}>
      <button type="button" class="button" disabled=${busy} onClick=${() => pages.loadMore()}>
        ${busy ? "Loading…" : pages.partial ? "Search further" : "Show more"}
      </button>
      <span class="muted">${items.length} shown${pages.partial ? "; not everything was searched yet" : ""}</span>
    </p>`}
  `;
}
