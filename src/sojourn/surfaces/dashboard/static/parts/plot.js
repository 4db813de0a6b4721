// Plots over time (uPlot), each with the same figures as a table.
import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import uPlot from "../vendor/uPlot.esm.js";
import { base } from "./api.js";
import { exact } from "./time.js";

let styled = false;
function style() {
  if (styled) return;
  styled = true;
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = `${base}/static/vendor/uPlot.min.css`;
  document.head.append(link);
}

/** The colour that a CSS variable has now: a canvas knows no variables. */
function colour(element, name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  element.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

const clock = (seconds) => exact(seconds).slice(11, 16);
const ROWS = 60;
const SHORTEST = 300;

/**
 * `t`: times in seconds; `series`: [{label, values, colour: "--plot-1"}]; `show(value)` words one;
 * null leaves a gap and is worded as `none`.
 */
export function Plot({ title, t, series, show = String, none = "not known", note }) {
  const box = useRef(null);
  const plot = useRef(null);
  const [open, setOpen] = useState(false);
  const [theme, setTheme] = useState(0);
  const labels = series.map(({ label }) => label).join("\n");

  useEffect(() => {
    style();
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const again = () => setTheme((n) => n + 1);
    dark.addEventListener("change", again);
    addEventListener("themechange", again);
    return () => {
      dark.removeEventListener("change", again);
      removeEventListener("themechange", again);
    };
  }, []);

  useEffect(() => {
    const element = box.current;
    const axis = {
      stroke: colour(element, "--muted"),
      grid: { stroke: colour(element, "--line"), width: 1 },
      ticks: { show: false },
      font: "11px system-ui, sans-serif",
    };
    plot.current = new uPlot(
      {
        width: Math.max(200, element.clientWidth),
        height: 160,
        padding: [10, 8, 0, 0],
        legend: { show: false },
        cursor: { y: false, points: { size: 6 } },
        scales: {
          x: { range: ({ data: [x] }) => [Math.min(x[0], x.at(-1) - SHORTEST), x.at(-1)] },
          y: { range: (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.1 : 1] },
        },
        axes: [
          { ...axis, size: 24, space: 60, values: (_, all) => all.map(clock) },
          { ...axis, size: 52, space: 32, values: (_, all) => all.map((value) => show(value)) },
        ],
        series: [
          {},
          ...series.map(({ label, colour: name = "--plot-1" }) => ({
            label,
            stroke: colour(element, name),
            width: 1.5,
            points: { show: t.length < 3 },
            spanGaps: false,
          })),
        ],
        hooks: { setCursor: [(own) => setAt(own.cursor.idx ?? null)] },
      },
      [t, ...series.map(({ values }) => values)],
      element,
    );
    const watch = new ResizeObserver(() => {
      const width = Math.max(200, element.clientWidth);
      if (plot.current && width !== plot.current.width) plot.current.setSize({ width, height: 160 });
    });
    watch.observe(element);
    return () => {
      watch.disconnect();
      plot.current.destroy();
      plot.current = null;
    };
  }, [labels, theme]);

  useEffect(() => {
    plot.current?.setData([t, ...series.map(({ values }) => values)]);
  }, [t, series]);

  const [at, setAt] = useState(null);
  const shown = at !== null && at < t.length ? at : t.length - 1;
  const value = (values, n) => (values[n] === null || values[n] === undefined ? none : show(values[n]));
  return html`<section class="card plot">
    <header>
      <h2>${title}</h2>
      <p class="legend">
        ${series.map(
          ({ label, values, colour: name = "--plot-1" }) => html`<span>
            <i class="dot" style=${{ background: `var(${name})` }}></i>
            ${series.length > 1 && html`<span class="muted">${label} </span>`}
            <b>${shown < 0 || values[shown] === null ? "–" : value(values, shown)}</b>
          </span>`,
        )}
        <span class="muted small when">${at === null || shown < 0 ? "" : clock(t[shown])}</span>
      </p>
    </header>
    ${note && html`<p class="muted small">${note}</p>`}
    <div class="plot-box" ref=${box} aria-hidden="true"></div>
    <details onToggle=${(event) => setOpen(event.currentTarget.open)}>
      <summary>${title} as a table</summary>
      ${open &&
      html`<div class="table-box tall" tabindex="0" role="region" aria-label=${`${title}, table`}>
        <table>
          <thead>
            <tr><th scope="col">Time</th>${series.map(({ label }) => html`<th scope="col" class="num">${label}</th>`)}</tr>
          </thead>
          <tbody>
            ${newest(t.length).map(
              (n) => html`<tr key=${t[n]}>
                <td>${exact(t[n])}</td>
                ${series.map(({ values }) => html`<td class="num">${value(values, n)}</td>`)}
              </tr>`,
            )}
          </tbody>
        </table>
      </div>`}
    </details>
  </section>`;
}

const newest = (length) => Array.from({ length: Math.min(ROWS, length) }, (_, n) => length - 1 - n);
