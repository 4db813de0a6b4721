// One thread: its checkpoints as a graph, one of them in full, or two compared.
import { html, useEffect, useMemo, useRef, useState } from "../vendor/preact-htm.js";
import { path, send, usePages, useResource, userPath } from "../parts/api.js";
import { ConfirmButton } from "../parts/confirm.js";
import { Compared } from "../parts/diff.js";
import { Graph, layout } from "../parts/graph.js";
import { Json } from "../parts/json.js";
import { useKeys } from "../parts/keys.js";
import { useMay } from "../parts/me.js";
import { href, navigate, setQuery } from "../parts/router.js";
import { Pairs } from "../parts/split.js";
import { Empty, Failure, Loaded, Loading } from "../parts/states.js";
import { short, visible } from "../parts/text.js";
import { Ago, number } from "../parts/time.js";
import { toast } from "../parts/toasts.js";
import { Parts } from "../parts/transcript.js";

export const title = ({ thread }) => thread;

const ROW = 44;
const OUTERMOST = "";

export function Page({ params: { app, user, thread }, query }) {
  const below = `${userPath(app, user)}/threads`;
  const where = below + path`/${thread}`;
  const pages = usePages(`${where}/checkpoints`, { limit: 500 });
  const may = useMay("write");
  const namespaces = useMemo(() => [...new Set(pages.items.map(({ namespace }) => namespace))].sort(), [pages.items]);
  const namespace = query.ns ?? (namespaces.includes(OUTERMOST) || !namespaces.length ? OUTERMOST : namespaces[0]);
  const rows = useMemo(() => pages.items.filter((each) => each.namespace === namespace), [pages.items, namespace]);
  const chosen = rows.find(({ id }) => id === query.at) ?? rows[0];
  const other = query.with === chosen?.id ? undefined : rows.find(({ id }) => id === query.with);
  const [newer, older] = rows.indexOf(other) > rows.indexOf(chosen) ? [chosen, other] : [other, chosen];
  return html`<div class="page-head">
      <h1 title=${visible(thread)}>${short(thread, 80)}</h1>
      ${may && html`<div class="actions"><${Actions} where=${where} thread=${thread} below=${below} pages=${pages} /></div>`}
    </div>
    <${Failure} error=${pages.error} retry=${pages.reload} known=${pages.first !== null} />
    ${pages.loading && html`<${Loading} rows=${8} />`}
    ${pages.first && !pages.items.length && html`<${Empty} title="This thread has no checkpoints" />`}
    ${rows.length > 0 &&
    html`<div class="thread">
      <div class="thread-list">
        ${namespaces.length > 1 &&
        html`<label class="field">
          <span>Graph</span>
          <select value=${namespace} onChange=${(event) => setQuery({ ns: event.currentTarget.value || undefined, at: undefined, with: undefined })}>
            ${namespaces.map((each) => {
              const count = pages.items.filter((one) => one.namespace === each).length;
              return html`<option value=${each} selected=${each === namespace}>${`${each === OUTERMOST ? "Outermost graph" : short(each, 60)} (${number(count)})`}</option>`;
            })}
          </select>
        </label>`}
        <${Checkpoints} rows=${rows} chosen=${chosen} other=${other} query=${query} where=${where} />
        ${pages.more &&
        html`<p class="more"><button type="button" class="button" disabled=${pages.busy} onClick=${() => pages.loadMore()}>${pages.busy ? "Loading…" : "Show more"}</button></p>`}
      </div>
      <div class="thread-detail">
        ${other
          ? html`<${Compare} key=${`${chosen.id}\n${other.id}`} where=${where} a=${older} b=${newer} />`
          : html`<${Checkpoint} key=${`${namespace}\n${chosen.id}`} where=${where} row=${chosen} view=${query.view} />`}
      </div>
    </div>`}`;
}

const nameOf = ({ step, id }) => (step === null || step === undefined ? short(id, 24) : `Step ${step}`);

const TONES = { input: "accent", update: "warn", fork: "warn" };

function Checkpoints({ rows, chosen, other, query, where }) {
  const list = useRef(null);
  const graph = useMemo(() => layout(rows), [rows]);
  const links = () => [...list.current.querySelectorAll("a")];
  const move = (by) => {
    const all = links();
    const now = all.findIndex((link) => link === document.activeElement);
    const start = now < 0 ? rows.indexOf(chosen) : now;
    const next = all[Math.max(0, Math.min(all.length - 1, start + by))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  };
  const compareWith = (row) => {
    if (row && row !== chosen) setQuery({ at: chosen.id, with: row.id }, { replace: false });
  };
  useKeys({
    j: ["Checkpoint before", () => move(1)],
    k: ["Checkpoint after", () => move(-1)],
    c: ["Compare the checkpoint in focus with the one that is shown", () => compareWith(rows[links().indexOf(document.activeElement)])],
    ...(other ? { Escape: ["End the comparison", () => setQuery({ with: undefined }, { replace: false })] } : {}),
  });
  return html`<div class="checkpoints card">
    <${Graph} graph=${graph} height=${ROW} chosen=${rows.indexOf(chosen)} compared=${other ? rows.indexOf(other) : -1} />
    <ol ref=${list} aria-label="Checkpoints, the newest first">
      ${rows.map(
        (row) => html`<li key=${row.id} class=${row === chosen ? "chosen" : row === other ? "compared" : ""}>
          <a
            class="row-link"
            href=${href(where, { ns: query.ns, view: query.view, at: row.id })}
            aria-current=${row === chosen ? "true" : undefined}
          >
            <span>${nameOf(row)}</span>
            ${row.source && html`<span class=${`badge ${TONES[row.source] || ""}`}>${short(row.source, 24)}</span>`}
            ${row.writes > 0 && html`<span class="muted small">${number(row.writes)} ${row.writes === 1 ? "write" : "writes"}</span>`}
            <span class="muted small when"><${Ago} time=${row.time} none="" /></span>
            <span class="muted small id" title=${visible(row.id)}>${short(row.id, 40)}</span>
          </a>
          ${row !== chosen &&
          (row === other
            ? html`<span class="badge accent">compared</span>`
            : html`<button type="button" class="button small compare" title="Compare with the one that is shown (c)" onClick=${() => compareWith(row)}>
                Compare<span class="hidden"> ${nameOf(row)} with ${nameOf(chosen)}</span>
              </button>`)}
        </li>`,
      )}
    </ol>
  </div>`;
}

const VIEWS = [
  ["messages", "Messages"],
  ["values", "Values"],
  ["writes", "Writes"],
  ["metadata", "Metadata"],
];

const placeOf = (where, { namespace, id }) => where + path`/checkpoints/${namespace}/${id}`;

function Checkpoint({ where, row, view }) {
  const checkpoint = useResource(placeOf(where, row));
  return html`<section class="card stack" aria-label=${`Checkpoint ${nameOf(row)}`}>
    <header class="detail-head">
      <h2>${nameOf(row)} ${row.source && html`<span class=${`badge ${TONES[row.source] || ""}`}>${short(row.source, 24)}</span>`}</h2>
    </header>
    <${Pairs}
      pairs=${[
        ["Id", html`<span class="id">${visible(row.id)}</span>`],
        ["Parent", row.parent ? html`<a class="id" href=${href(where, { ns: row.namespace, at: row.parent, view })}>${visible(row.parent)}</a>` : "none: the first"],
        ["Time", row.time !== null && row.time !== undefined && html`<${Ago} time=${row.time} />`],
        ["Graph", row.namespace !== OUTERMOST && html`<span class="id">${visible(row.namespace)}</span>`],
      ]}
    />
    <${Loaded} resource=${checkpoint} rows=${6}>
      ${(data) => html`<${Content} data=${data} view=${view} />`}
    <//>
  </section>`;
}

function Content({ data, view }) {
  const messages = data.messages || [];
  const counts = { messages: messages.length, values: Object.keys(data.values).length, writes: data.writes.length };
  const views = VIEWS.filter(([name]) => name !== "messages" || messages.length);
  const shown = views.some(([name]) => name === view) ? view : views[0][0];
  return html`<div class="tabs" role="group" aria-label="What to show of the checkpoint">
      ${views.map(
        ([name, label]) => html`<button type="button" aria-pressed=${String(name === shown)} onClick=${() => setQuery({ view: name })}>
          ${label}${counts[name] !== undefined && html` <span class="muted small">${number(counts[name])}</span>`}
        </button>`,
      )}
    </div>
    ${shown === "messages" && html`<${Messages} messages=${messages} />`}
    ${shown === "values" && html`<${Values} data=${data} />`}
    ${shown === "writes" && html`<${Writes} writes=${data.writes} />`}
    ${shown === "metadata" && html`<${Json} value=${{ metadata: data.metadata, data: data.data }} open=${2} label="Metadata" />`}`;
}

const MOST_MESSAGES = 100;

function Messages({ messages }) {
  const [most, setMost] = useState(MOST_MESSAGES);
  const hidden = Math.max(0, messages.length - most);
  return html`${hidden > 0 && html`<button type="button" class="button" onClick=${() => setMost(most + MOST_MESSAGES)}>${number(hidden)} earlier messages</button>`}
    <ol class="messages" aria-label="Messages">
      ${messages.slice(hidden).map(
        (message, n) => html`<li key=${hidden + n} class=${`message ${["user", "assistant", "tool", "system"].includes(message.role) ? message.role : ""}`}>
          <p class="message-head"><span class="badge">${short(message.role || "?", 24)}</span>
            ${message.author && message.author !== message.role && html`<span class="muted small">${short(message.author, 40)}</span>`}</p>
          <${Parts} parts=${message.parts} />
        </li>`,
      )}
    </ol>`;
}

function Values({ data }) {
  const names = Object.keys(data.values);
  if (!names.length) return html`<p class="muted">It has no values.</p>`;
  return html`<div class="stack">
    ${names.map(
      (name) => html`<div key=${name}><h3 class="id">${short(name, 80)}</h3><${Json} value=${data.values[name]} open=${2} label=${`Value ${short(name, 80)}`} /></div>`,
    )}
    ${data.missing?.length > 0 && html`<p class="muted small">Without a value: ${data.missing.map((name) => visible(name)).join(", ")}</p>`}
  </div>`;
}

function Writes({ writes }) {
  if (!writes.length) return html`<p class="muted">No task has written since this checkpoint, or its writes are in the next.</p>`;
  return html`<div class="stack">
    ${writes.map(
      (write, n) => html`<div key=${n}>
        <h3><span class="id">${short(write.channel, 80)}</span> <span class="muted small">of task <span class="id">${short(write.task, 40)}</span></span></h3>
        <${Json} value=${write.value} open=${2} label=${`Write to ${short(write.channel, 80)}`} />
      </div>`,
    )}
  </div>`;
}

function Compare({ where, a, b }) {
  const first = useResource(placeOf(where, a));
  const second = useResource(placeOf(where, b));
  const heading = useRef(null);
  useEffect(() => heading.current.focus({ preventScroll: false }), []);
  const names = [`${nameOf(a)}`, `${nameOf(b)}`];
  return html`<section class="card stack" aria-label="Comparison">
    <header class="detail-head">
      <h2 ref=${heading} tabindex="-1">${names[0]} compared with ${names[1]}</h2>
      <div class="actions"><button type="button" class="icon-button" aria-label="End the comparison" title="End the comparison (Esc)" onClick=${() => setQuery({ with: undefined }, { replace: false })}>×</button></div>
    </header>
    <${Pairs}
      pairs=${[a, b].map((each, n) => [names[n], html`<span class="id">${visible(each.id)}</span> <span class="muted"><${Ago} time=${each.time} none="" /></span>`])}
    />
    <${Loaded} resource=${first} rows=${6}>
      ${(before) => html`<${Loaded} resource=${second} rows=${6}>
        ${(after) => html`<${Differences} before=${before} after=${after} names=${names} />`}
      <//>`}
    <//>
  </section>`;
}

function Differences({ before, after, names }) {
  const [all, setAll] = useState(false);
  const [a, b] = [before, after].map((data) => (all ? { values: data.values, metadata: data.metadata, data: data.data } : data.values));
  return html`<label class="check"><input type="checkbox" checked=${all} onChange=${(event) => setAll(event.currentTarget.checked)} /> Metadata, too</label>
    <${Compared} a=${a} b=${b} names=${names} />`;
}

function Actions({ where, thread, below, pages }) {
  return html`<${ConfirmButton}
      label="Prune"
      title="Prune this thread"
      text="All checkpoints but the newest of each graph go, with those that it does not need. This cannot be taken back."
      word=${thread}
      action="Prune"
      act=${() => send("POST", `${where}/prune`, { keep: 1 })}
      done=${(result) => {
        toast(`${number(result?.removed ?? 0)} checkpoints are deleted.`);
        setQuery({ at: undefined, with: undefined });
        pages.reload();
      }}
    />
    <${ConfirmButton}
      label="Delete"
      title="Delete this thread"
      text="The thread goes with all of its checkpoints. This cannot be taken back."
      word=${thread}
      act=${() => send("DELETE", where)}
      done=${() => {
        toast("The thread is deleted.");
        navigate(below);
      }}
    />`;
}
