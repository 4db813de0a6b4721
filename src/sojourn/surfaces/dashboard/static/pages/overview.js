// Overview: how the store does now and did over the last hour.
import { html, useMemo } from "../vendor/preact-htm.js";
import { path, useResource } from "../parts/api.js";
import { Plot } from "../parts/plot.js";
import { href } from "../parts/router.js";
import { Loaded } from "../parts/states.js";
import { short, visible } from "../parts/text.js";
import { Ago, duration, number } from "../parts/time.js";

export const title = "Overview";

const SECONDS = 5;

export function Page() {
  const overview = useResource("/overview", {}, { every: SECONDS });
  return html`<h1>Overview</h1>
    <${Loaded} resource=${overview} rows=${8}>
      ${(data) => html`<${Health} data=${data} /><${Plots} series=${data.series} />
        <div class="grid after"><${Apps} /><${Outages} outages=${data.outages || []} now=${data.now} /></div>`}
    <//>`;
}

const percent = (share) => (share === null || share === undefined ? "–" : `${(share * 100).toFixed(share < 0.995 ? 1 : 0)} %`);

/** [hits, reads] of both caches of the server that answers. */
function cached({ cache = {}, near_cache: near = {} }) {
  const sum = (...counts) => counts.reduce((all, count) => all + (count ?? 0), 0);
  const hits = sum(cache.hits, cache.stale, near.hits);
  return [hits, hits + sum(cache.misses, near.misses)];
}

function Health({ data }) {
  const { stats, health = [], quarantine, outages = [] } = data;
  const down = stats.available === false || health.some(({ latency }) => latency === null);
  const slowest = Math.max(...health.map(({ latency }) => latency ?? 0), 0);
  const problems = health.filter(({ problem }) => problem);
  const [hits, reads] = cached(stats);
  return html`<dl class="figures">
    <div>
      <dt>Store</dt>
      <dd class=${down ? "bad-text" : "good-text"}>${down ? "Not reachable" : "Available"}</dd>
      <dd class="note" title=${visible(stats.where)}>${short(stats.where, 48)}</dd>
    </div>
    <div>
      <dt>Latency</dt>
      <dd>${down && !slowest ? "–" : duration(slowest)}</dd>
      <dd class="note">${problems.length ? short(problems[0].problem, 60) : `of a PING, ${number(health.length)} ${health.length === 1 ? "node" : "nodes"}`}</dd>
    </div>
    <div>
      <dt>Cache hits</dt>
      <dd>${percent(reads ? hits / reads : null)}</dd>
      <dd class="note">${reads ? `${number(hits)} of ${number(reads)} reads of this server` : "nothing was read yet"}</dd>
    </div>
    <div>
      <dt>Outages</dt>
      <dd>${number(stats.outages)}</dd>
      <dd class="note">${outages.length ? html`last <${Ago} time=${outages.at(-1).since ?? outages.at(-1).time} />` : "since this server started"}</dd>
    </div>
    <div>
      <dt>Waiting writes</dt>
      <dd>${number(stats.buffered)}</dd>
      <dd class="note">${stats.buffered ? `for ${duration(stats.buffered_seconds)}` : "nothing is buffered"}</dd>
    </div>
    <div>
      <dt>Quarantine</dt>
      <dd class=${quarantine ? "warn-text" : ""}>${number(quarantine)}</dd>
      <dd class="note">${quarantine ? html`<a href=${href("/quarantine")}>unreadable records</a>` : "no unreadable records"}</dd>
    </div>
  </dl>`;
}

const rate = (value) => (value < 10 ? value.toFixed(1) : number(Math.round(value)));
const millis = (value) => duration(value / 1000);

function Plots({ series = {} }) {
  const t = series.t || [];
  const plots = useMemo(
    () =>
      [
        ["sessions", "Sessions", [["Sessions", series.sessions]], number],
        [
          "writes",
          "Writes per second",
          [
            ["all clients", series.writes],
            ["appends by this server", series.appends],
          ],
          rate,
        ],
        ["latency", "Latency", [["Latency", series.latency]], millis],
        ["hits", "Cache hit rate", [["Hit rate", series.hits]], percent, "no reads"],
      ].map(([name, title, lines, show, none]) => ({
        name,
        title,
        show,
        none,
        series: lines
          .filter(([, values]) => values)
          .map(([label, values], n) => ({ label, values, colour: `--plot-${n + 1}` })),
      })),
    [series],
  );
  return html`<div class="grid plots">
    ${plots
      .filter(({ series: lines }) => lines.length)
      .map((plot) => html`<${Plot} key=${plot.name} title=${plot.title} t=${t} series=${plot.series} show=${plot.show} none=${plot.none} />`)}
  </div>`;
}

function Apps() {
  const apps = useResource("/apps", { limit: 12 });
  return html`<section class="card">
    <header class="card-head"><h2>Apps</h2><a class="small" href=${href("/apps")}>All apps</a></header>
    <${Loaded} resource=${apps} rows=${3}>
      ${(page) =>
        page.items.length
          ? html`<ul class="rows">
              ${page.items.map(({ app }) => html`<li><a href=${href(path`/apps/${app}`)} title=${visible(app)}>${short(app, 80)}</a></li>`)}
            </ul>`
          : html`<p class="muted">No app has kept anything yet.</p>`}
    <//>
  </section>`;
}

function Outages({ outages, now }) {
  return html`<section class="card">
    <header class="card-head"><h2>Outages</h2></header>
    ${outages.length
      ? html`<ul class="rows">
          ${[...outages].reverse().slice(0, 12).map((outage) => {
            const { since = outage.time, until } = outage;
            return html`<li>
              <${Ago} time=${since} />
              <span class=${until ? "muted" : "bad-text"}>${until ? `for ${duration(until - since)}` : `goes on: ${duration(now - since)}`}</span>
            </li>`;
          })}
        </ul>`
      : html`<p class="muted">None since this server started.</p>`}
  </section>`;
}
