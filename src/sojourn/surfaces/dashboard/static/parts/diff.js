// Two JSON values compared: what differs, as a flat list of places.
import { html, useState } from "../vendor/preact-htm.js";
import { Json } from "./json.js";
import { visible } from "./text.js";

const isTree = (value) => value !== null && typeof value === "object";

/** Whether two JSON values are the same. */
export function same(a, b) {
  if (a === b) return true;
  if (!isTree(a) || !isTree(b) || Array.isArray(a) !== Array.isArray(b)) return false;
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && same(a[name], b[name]));
}

/**
 * The places at which two JSON values differ: [{place: ["messages", 4], a, b}], in order; `a` or
 * `b` is undefined where there is nothing. Lists are compared place by place.
 */
export function changes(a, b, place = []) {
  if (same(a, b)) return [];
  if (!isTree(a) || !isTree(b) || Array.isArray(a) !== Array.isArray(b)) return [{ place, a, b }];
  const names = Array.isArray(a)
    ? Array.from({ length: Math.max(a.length, b.length) }, (_, n) => n)
    : [...new Set([...Object.keys(a), ...Object.keys(b)])];
  const of = (value, name) => (Object.hasOwn(value, name) ? value[name] : undefined);
  return names.flatMap((name) => {
    const [before, after] = [of(a, name), of(b, name)];
    if (before === undefined && after === undefined) return [];
    if (before === undefined || after === undefined) return [{ place: [...place, name], a: before, b: after }];
    return changes(before, after, [...place, name]);
  });
}

/** A place as people write it: `messages[4].content`. */
export const placeName = (place) =>
  place.reduce((text, part) => (typeof part === "number" ? `${text}[${part}]` : text ? `${text}.${part}` : String(part)), "") || "(all of it)";

const MOST = 200;

const Side = ({ value, label }) =>
  value === undefined
    ? html`<span class="muted">nothing</span>`
    : html`<${Json} value=${value} open=${1} label=${label} />`;

/** Two values side by side, only where they differ. `names`: what stands over the columns. */
export function Compared({ a, b, names }) {
  const found = changes(a, b);
  const [most, setMost] = useState(MOST);
  if (!found.length) return html`<p class="muted">They are the same.</p>`;
  const kind = (each) => (each.a === undefined ? ["added", "good"] : each.b === undefined ? ["removed", "bad"] : ["changed", "accent"]);
  return html`<div class="table-box">
      <table class="compared">
        <caption class="hidden">What differs</caption>
        <thead>
          <tr><th scope="col">Where</th><th scope="col">${names[0]}</th><th scope="col">${names[1]}</th></tr>
        </thead>
        <tbody>
          ${found.slice(0, most).map((each) => {
            const [word, tone] = kind(each);
            const where = visible(placeName(each.place));
            return html`<tr key=${where}>
              <th scope="row"><span class="id">${where}</span> <span class=${`badge ${tone}`}>${word}</span></th>
              <td><${Side} value=${each.a} label=${`${where}, first`} /></td>
              <td><${Side} value=${each.b} label=${`${where}, second`} /></td>
            </tr>`;
          })}
        </tbody>
      </table>
    </div>
    ${found.length > most &&
    html`<button type="button" class="button" onClick=${() => setMost(most + MOST)}>${(found.length - most).toLocaleString("en")} more differences</button>`}`;
}
