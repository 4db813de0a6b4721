// JSON as a tree that folds; what is closed costs nothing.
import { html, useState } from "../vendor/preact-htm.js";
import { visible } from "./text.js";

const LONGEST = 2000;
const MOST = 100;

function Text({ value }) {
  const [shown, setShown] = useState(LONGEST);
  const rest = value.length - shown;
  return html`<span class="j-string">"${visible(value.slice(0, shown))}${rest > 0 ? "…" : '"'}</span
    >${rest > 0 &&
    html`<button type="button" class="link" onClick=${() => setShown(shown + 100_000)}>
      ${rest.toLocaleString("en")} more characters
    </button>`}`;
}

function Scalar({ value }) {
  if (typeof value === "string") return html`<${Text} value=${value} />`;
  const kind = value === null ? "null" : typeof value;
  return html`<span class=${`j-${kind}`}>${String(value)}</span>`;
}

const Name = ({ name }) =>
  name === undefined
    ? null
    : html`<span class=${typeof name === "number" ? "j-index" : "j-name"}>${visible(name)}</span
        ><span class="j-mark">: </span>`;

/** One value; `open` is how many levels stand open at first. */
export function Node({ name, value, open }) {
  const folds = value !== null && typeof value === "object";
  const [unfolded, setUnfolded] = useState(open > 0);
  const [most, setMost] = useState(MOST);
  if (!folds) return html`<div class="j-row"><${Name} name=${name} /><${Scalar} value=${value} /></div>`;
  const list = Array.isArray(value);
  const names = list ? null : Object.keys(value);
  const length = list ? value.length : names.length;
  const [left, right] = list ? "[]" : "{}";
  if (!length) return html`<div class="j-row"><${Name} name=${name} /><span class="j-mark">${left}${right}</span></div>`;
  const count = Math.min(length, most);
  return html`<div class="j-node">
    <button type="button" class="j-fold" aria-expanded=${String(unfolded)} onClick=${() => setUnfolded(!unfolded)}>
      <span class="j-arrow" aria-hidden="true"></span><${Name} name=${name} /><span class="j-mark"
        >${left}${unfolded ? "" : `…${right}`}</span
      >
      <span class="j-count">${length}</span>
    </button>
    ${unfolded &&
    html`<div class="j-inside">
      ${Array.from({ length: count }, (_, n) => {
        const key = list ? n : names[n];
        return html`<${Node} key=${key} name=${key} value=${value[key]} open=${open - 1} />`;
      })}
      ${length > count &&
      html`<button type="button" class="link" onClick=${() => setMost(most + 10 * MOST)}>
        ${(length - count).toLocaleString("en")} more
      </button>`}
    </div>`}
  </div>`;
}

/** A JSON value as a tree. */
export function Json({ value, open = 1, label = "JSON" }) {
  return html`<div class="json" role="group" aria-label=${label} tabindex="0"><${Node} value=${value} open=${open} /></div>`;
}
