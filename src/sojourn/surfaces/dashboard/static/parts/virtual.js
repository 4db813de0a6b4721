// A long list of which only the rows in view are in the document.
import { html, useCallback, useEffect, useImperativeHandle, useLayoutEffect, useRef, useState } from "../vendor/preact-htm.js";

/** Heights of rows with their sums: set, sum and find cost log n (a Fenwick tree). */
export class Heights {
  constructor(count, estimate) {
    this.estimate = estimate;
    this.resize(count);
  }

  resize(count) {
    const old = this.rows || new Float64Array(0);
    this.count = count;
    this.rows = new Float64Array(count).fill(this.estimate);
    this.rows.set(old.subarray(0, Math.min(old.length, count)));
    this.tree = new Float64Array(count + 1);
    for (let n = 1; n <= count; n += 1) {
      this.tree[n] += this.rows[n - 1];
      const parent = n + (n & -n);
      if (parent <= count) this.tree[parent] += this.tree[n];
    }
  }

  /** Returns by how much the row grew. */
  set(row, height) {
    const grown = height - this.rows[row];
    this.rows[row] = height;
    for (let n = row + 1; n <= this.count; n += n & -n) this.tree[n] += grown;
    return grown;
  }

  /** Where a row begins. */
  top(row) {
    let sum = 0;
    for (let n = row; n > 0; n -= n & -n) sum += this.tree[n];
    return sum;
  }

  /** Which row stands at this place. */
  at(place) {
    let row = 0;
    let rest = place;
    for (let step = 2 ** Math.floor(Math.log2(this.count || 1)); step >= 1; step /= 2) {
      if (row + step <= this.count && this.tree[row + step] <= rest) {
        row += step;
        rest -= this.tree[row];
      }
    }
    return Math.min(row, Math.max(0, this.count - 1));
  }
}

const MOST_ROWS = 400;

function Row({ index, measure, children }) {
  const row = useRef(null);
  useLayoutEffect(() => measure(index, row.current), [index]);
  return html`<div ref=${row} class="v-row" role="listitem" aria-posinset=${index + 1} data-index=${index}>${children}</div>`;
}

/**
 * `count` rows, `row(index)` renders one; `estimate` is the height of one not yet seen.
 * `onRange(first, last)` is told what is in view, so that it can be loaded. `follow` keeps the end
 * in view while the reader is there. `control` (a ref) gets {scrollTo(index), toEnd(), atEnd()}.
 * The list scrolls in its own box, which needs a height from its surroundings.
 */
export function Virtual({ count, row, estimate = 60, overscan = 600, onRange, follow = false, control, label, keyOf }) {
  const box = useRef(null);
  const heights = useRef(null);
  heights.current ||= new Heights(count, estimate);
  if (heights.current.count !== count) heights.current.resize(count);
  const [view, setView] = useState({ top: 0, height: 800 });
  const [, render] = useState(0);
  const pinned = useRef(follow);
  const indexes = useRef(new Map());
  const observer = useRef(null);
  const place = useCallback(() => {
    const { scrollTop, clientHeight, scrollHeight } = box.current;
    pinned.current = scrollTop + clientHeight >= scrollHeight - 40;
    setView((old) =>
      old.top === scrollTop && old.height === clientHeight ? old : { top: scrollTop, height: clientHeight },
    );
  }, []);

  // Rows are measured when they appear and when they change. What grows above the view moves it.
  observer.current ||= new ResizeObserver((entries) => {
    let moved = 0;
    let changed = false;
    const first = heights.current.at(box.current?.scrollTop || 0);
    for (const { target, borderBoxSize } of entries) {
      const index = indexes.current.get(target);
      if (target === box.current || index === undefined) continue;
      const height = borderBoxSize[0].blockSize;
      if (!height || index >= heights.current.count || height === heights.current.rows[index]) continue;
      const grown = heights.current.set(index, height);
      if (index < first) moved += grown;
      changed = true;
    }
    if (changed) render((n) => n + 1);
    if (moved && !pinned.current) box.current.scrollTop += moved;
    place();
  });
  useEffect(() => {
    observer.current.observe(box.current);
    place();
    return () => observer.current.disconnect();
  }, []);
  const measure = useCallback((index, element) => {
    indexes.current.set(element, index);
    observer.current.observe(element);
    return () => {
      indexes.current.delete(element);
      observer.current.unobserve(element);
    };
  }, []);

  useLayoutEffect(() => {
    if (follow && pinned.current) box.current.scrollTop = box.current.scrollHeight;
  });
  useImperativeHandle(control, () => ({
    scrollTo: (index) => {
      pinned.current = false;
      box.current.scrollTop = heights.current.top(index);
      place();
    },
    toEnd: () => {
      pinned.current = true;
      box.current.scrollTop = box.current.scrollHeight;
      place();
    },
    atEnd: () => pinned.current,
  }));

  const first = count ? heights.current.at(Math.max(0, view.top - overscan)) : 0;
  const wanted = count ? heights.current.at(view.top + view.height + overscan) : -1;
  const last = Math.min(wanted, first + MOST_ROWS - 1);
  useEffect(() => {
    if (count) onRange?.(heights.current.at(view.top), heights.current.at(view.top + view.height));
  }, [first, last, count]);
  const above = heights.current.top(first);
  const total = heights.current.top(count);
  const below = Math.max(0, total - heights.current.top(last + 1));
  const shown = [];
  for (let index = first; index <= last; index += 1) {
    shown.push(html`<${Row} key=${keyOf ? keyOf(index) : index} index=${index} measure=${measure}>${row(index)}<//>`);
  }
  return html`<div ref=${box} class="virtual" tabindex="0" role="list" aria-label=${label} onScroll=${place}>
    <div class="v-space" role="presentation" style=${{ height: `${above}px` }}></div>
    ${shown}
    <div class="v-space" role="presentation" style=${{ height: `${below}px` }}></div>
  </div>`;
}
