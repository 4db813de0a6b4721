// A tree of checkpoints as a graph: a row each, the newest at the top, lines to the parents.
import { html } from "../vendor/preact-htm.js";

/**
 * Places of rows that are in order, children before parents. Each row gets a lane; returns
 * {lanes, places: [lane of each row], edges: [{from, to, a, b}]}: from row `from` in lane `a` down
 * to row `to` in lane `b`; `to` null: the parent is not among them.
 */
export function layout(rows) {
  const at = new Map(rows.map(({ id }, n) => [id, n]));
  const waiting = []; // for each lane, the row to which it leads; null when it is free
  const places = [];
  const starts = [];
  const edges = [];
  let lanes = 1;
  for (const [n, { parent }] of rows.entries()) {
    let lane = waiting.indexOf(n);
    if (lane < 0) lane = waiting.indexOf(null);
    if (lane < 0) lane = waiting.length;
    for (const [other, leads] of waiting.entries()) {
      if (leads === n) {
        edges.push({ ...starts[other], to: n, b: lane });
        waiting[other] = null;
      }
    }
    places.push(lane);
    waiting[lane] = null;
    lanes = Math.max(lanes, lane + 1);
    if (!parent) continue;
    const above = at.get(parent);
    if (above !== undefined && above > n) {
      waiting[lane] = above;
      starts[lane] = { from: n, a: lane };
    } else {
      edges.push({ from: n, a: lane, to: null, b: lane });
    }
  }
  return { lanes, places, edges };
}

const LANE = 16;
const RADIUS = 4.5;
const MOST_LANES = 12;

/** How wide the graph is, in pixels. */
export const graphWidth = ({ lanes }) => 12 + LANE * Math.min(lanes, MOST_LANES);

/** The graph beside rows of `height` pixels. `chosen`, `compared`: rows that are marked. */
export function Graph({ graph, height, chosen, compared }) {
  const { places, edges } = graph;
  // Lanes beyond the last share its place: the lines still tell parents from others.
  const x = (lane) => 10 + LANE * Math.min(lane, MOST_LANES - 1);
  const y = (row) => (row + 0.5) * height;
  const line = ({ from, to, a, b }) => {
    if (to === null) return `M${x(a)} ${y(from)}v${height * 0.5}`;
    if (a === b) return `M${x(a)} ${y(from)}V${y(to)}`;
    const bend = y(to) - height * 0.75;
    return `M${x(a)} ${y(from)}V${bend}C${x(a)} ${y(to)} ${x(b)} ${bend} ${x(b)} ${y(to)}`;
  };
  const tone = (lane) => `lane lane-${lane % 4}`;
  return html`<svg class="graph" width=${graphWidth(graph)} height=${places.length * height} aria-hidden="true" focusable="false">
    ${edges.map((edge) => html`<path class=${`${tone(edge.a)}${edge.to === null ? " open" : ""}`} d=${line(edge)} />`)}
    ${places.map((lane, n) => {
      const mark = n === chosen ? " chosen" : n === compared ? " compared" : "";
      return html`<circle class=${`${tone(lane)}${mark}`} cx=${x(lane)} cy=${y(n)} r=${mark ? RADIUS + 1.5 : RADIUS} />`;
    })}
  </svg>`;
}
