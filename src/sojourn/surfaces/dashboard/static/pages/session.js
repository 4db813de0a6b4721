// One session: what was said and done, its state and who changed it, live.
import { html, useEffect, useMemo, useReducer, useRef, useState } from "../vendor/preact-htm.js";
import { path, send, useResource, usePages, userPath } from "../parts/api.js";
import { ConfirmButton } from "../parts/confirm.js";
import { Dialog } from "../parts/dialog.js";
import { Json } from "../parts/json.js";
import { useKeys } from "../parts/keys.js";
import { useLog } from "../parts/log.js";
import { useMay } from "../parts/me.js";
import { navigate, setQuery } from "../parts/router.js";
import { Pairs } from "../parts/split.js";
import { Empty, Failure, Loaded, Loading } from "../parts/states.js";
import { short, visible } from "../parts/text.js";
import { Ago, duration, exact, number } from "../parts/time.js";
import { toast } from "../parts/toasts.js";
import { brief, Part } from "../parts/transcript.js";
import { Virtual } from "../parts/virtual.js";

export const title = ({ session }) => session;

const VIEWS = [
  ["transcript", "Transcript"],
  ["timing", "Timing"],
  ["state", "State"],
  ["details", "Details"],
];

export function Page({ params: { app, user, session }, query }) {
  const where = `${userPath(app, user)}/sessions${path`/${session}`}`;
  const head = useResource(where);
  const log = useLog(where, head.data);
  const view = VIEWS.some(([name]) => name === query.view) ? query.view : "transcript";
  const [raw, setRaw] = useState(null);
  const control = useRef(null);
  const reload = useRef(0);
  // Fields and state follow the log, a moment later and never twice at once.
  useEffect(() => {
    if (!log.changed || log.gone) return undefined;
    clearTimeout(reload.current);
    reload.current = setTimeout(head.reload, 400);
    return () => clearTimeout(reload.current);
  }, [log.changed, log.gone]);
  const show = (name) => setQuery({ view: name === "transcript" ? undefined : name }, { replace: false });
  useKeys({
    1: ["Transcript", () => show("transcript")],
    2: ["Timing of the steps", () => show("timing")],
    3: ["State", () => show("state")],
    4: ["Details", () => show("details")],
  });
  return html`<div class="session">
    <${Head} head=${head} log=${log} app=${app} user=${user} session=${session} where=${where} />
    <nav class="tabs" aria-label="Views of this session">
      ${VIEWS.map(
        ([name, label]) => html`<button type="button" aria-current=${name === view ? "page" : undefined} onClick=${() => show(name)}>${label}</button>`,
      )}
    </nav>
    <${Failure} error=${head.error} retry=${head.reload} known=${head.data !== null} />
    ${head.loading && html`<${Loading} rows=${8} />`}
    ${head.data !== null && (view === "transcript" || view === "timing") &&
    html`<${Transcript} key=${view} log=${log} where=${where} control=${control} query=${query} timing=${view === "timing"} setRaw=${setRaw} />`}
    ${head.data !== null && view === "state" && html`<${State} where=${where} state=${head.data.state} changed=${log.changed} />`}
    ${head.data !== null && view === "details" && html`<${Details} head=${head.data} />`}
    ${raw !== null && html`<${Raw} where=${where} seq=${raw} onClose=${() => setRaw(null)} />`}
  </div>`;
}

function Head({ head, log, app, user, session, where }) {
  const writes = useMay("write");
  const admin = useMay("admin");
  const { data } = head;
  const name = data?.title || session;
  const gone = (text) => {
    toast(text);
    navigate(userPath(app, user));
  };
  return html`<div class="page-head">
    <h1 title=${visible(name)}>${short(name, 120)}</h1>
    ${data && html`<span class="badge">${short(data.status, 40)}</span>`}
    ${data &&
    Object.entries(data.labels).map(
      ([label, word]) => html`<span class="chip" title=${visible(`${label}: ${word}`)}>${short(`${label}: ${word}`, 40)}</span>`,
    )}
    ${data && !data.complete && html`<span class="badge bad" title="Events or state are missing or cannot be read: see the quarantine.">incomplete</span>`}
    <${Live} log=${log} />
    ${data &&
    html`<div class="actions">
      ${writes &&
      html`<${ConfirmButton}
        label="Delete"
        title="Delete this session"
        text="Its events and state go. What it has remembered and its artifacts stay."
        word=${session}
        act=${() => send("DELETE", where)}
        done=${() => gone("The session is deleted.")}
      />`}
      ${admin &&
      html`<${ConfirmButton}
        label="Revoke"
        title="Revoke this session"
        text="It is deleted with its artifacts, and what processes have buffered for it is refused."
        word=${session}
        action="Revoke"
        act=${() => send("POST", `${where}/revoke`, {})}
        done=${() => gone("The session is revoked.")}
      />`}
    </div>`}
  </div>`;
}

function Live({ log }) {
  if (log.gone) return html`<span class="badge bad" role="status">ended: deleted, revoked or expired</span>`;
  if (log.live === "on") return html`<span class="badge good" role="status" title="New events appear by themselves.">live</span>`;
  if (log.live === "never") return html`<span class="badge warn" role="status">not live</span>`;
  return log.ready ? html`<span class="badge warn" role="status">connecting…</span>` : null;
}

/** The part of a log that is in view, and its live end. */
function Transcript({ log, where, control, query, timing, setRaw }) {
  const [open, toggle] = useReducer((old, [key, now]) => (old.get(key) === now ? old : new Map(old).set(key, now)), new Map());
  const [seen, setSeen] = useState(log.length);
  const [top, setTop] = useState(0);
  const focused = useRef(0);
  const count = Math.max(0, log.length - log.start + 1);
  const seqOf = (index) => log.start + index;
  const jump = (seq) => control.current?.scrollTo(Math.max(0, Math.min(count - 1, seq - log.start)));
  const atEnd = () => control.current?.atEnd() ?? true;
  useEffect(() => {
    if (query.at && count) jump(Number(query.at) || 1);
  }, [query.at, count > 0]);
  useEffect(() => {
    if (atEnd()) setSeen(log.length);
  }, [log.length, top]);
  const step = (by) => {
    const now = focused.current || seqOf(top);
    const next = Math.max(log.start, Math.min(log.length, now + by));
    focused.current = next;
    const row = document.getElementById(`e${next}`);
    if (row) row.focus();
    else {
      jump(next);
      requestAnimationFrame(() => document.getElementById(`e${next}`)?.focus());
    }
  };
  useKeys({
    j: ["Event after", () => step(1)],
    k: ["Event before", () => step(-1)],
    r: ["Raw JSON of the event in focus, or of the first in view", () => setRaw(focused.current || seqOf(top))],
    Home: ["First event", () => jump(log.start)],
    End: ["Last event, and follow", () => control.current?.toEnd()],
  });
  if (!count) return html`<${Empty} title="This session has no events">They appear here as soon as there are some.<//>`;
  const fresh = log.length - seen;
  const row = (index) => {
    const seq = seqOf(index);
    return html`<${Row}
      seq=${seq}
      item=${log.at(seq)}
      before=${seq > log.start ? log.at(seq - 1) : null}
      log=${log}
      timing=${timing}
      open=${open}
      toggle=${toggle}
      onFocus=${() => (focused.current = seq)}
      setRaw=${setRaw}
    />`;
  };
  return html`<div class="t-tools">
      <${Search} where=${where} jump=${(seq) => setQuery({ at: seq, view: timing ? "timing" : undefined }, { replace: true })} />
      <span class="muted small">${number(count)} ${count === 1 ? "event" : "events"}${log.start > 1 ? `, from #${number(log.start)}` : ""}</span>
    </div>
    <${Failure} error=${log.failed} known=${true} />
    <div class="t-box card">
      <${Virtual}
        count=${count}
        row=${row}
        estimate=${timing ? 34 : 76}
        follow=${!query.at}
        control=${control}
        label=${timing ? "Timing of events" : "Events"}
        keyOf=${seqOf}
        onRange=${(first, last) => {
          setTop(first);
          log.want(seqOf(first), seqOf(last));
        }}
      />
      ${fresh > 0 &&
      html`<button
        type="button"
        class="button primary t-fresh"
        onClick=${() => {
          control.current.toEnd();
          setSeen(log.length);
        }}
      >
        ${number(fresh)} new ${fresh === 1 ? "event" : "events"} ↓
      </button>`}
    </div>`;
}

const ROLES = { user: "User", assistant: "Agent", tool: "Tool", system: "System" };

function Row({ seq, item, before, log, timing, open, toggle, onFocus, setRaw }) {
  if (item === undefined) return html`<article class="t-row" id=${`e${seq}`} tabindex="-1" onfocusin=${onFocus}><div class="bone"></div></article>`;
  if (item === null) {
    return html`<article class="t-row" id=${`e${seq}`} tabindex="-1" onfocusin=${onFocus}>
      <p class="t-notice bad-text">Event #${seq} cannot be read. Its bytes are in the quarantine.</p>
    </article>`;
  }
  if (timing) return html`<${TimedRow} seq=${seq} item=${item} log=${log} onFocus=${onFocus} setRaw=${setRaw} />`;
  const same = before && before.author === item.author && before.role === item.role && before.turn === item.turn && item.role !== "user";
  const names = Object.keys(item.state);
  const changed = `${seq}.state`;
  const took = before && before.turn && before.turn === item.turn ? item.time - before.time : null;
  return html`<article class=${`t-row t-${item.role}${same ? " t-same" : ""}`} id=${`e${seq}`} tabindex="-1" onfocusin=${onFocus} aria-label=${`Event ${seq} of ${visible(item.author)}`}>
    <header>
      <span class="t-author">${short(item.author || ROLES[item.role], 60)}</span>
      ${item.branch && item.branch !== item.author && html`<span class="muted small">${short(item.branch, 60)}</span>`}
      ${item.partial && html`<span class="badge">partial</span>`}
      <span class="t-about">
        ${item.usage && html`<span title=${`Tokens: ${number(item.usage.input)} read, ${number(item.usage.output)} written${item.model ? `, ${visible(item.model)}` : ""}`}>${number(item.usage.total)} tokens</span>`}
        ${took > 0 && html`<span title="Since the event before">+${duration(took)}</span>`}
        <span><${Ago} time=${item.time} /></span>
        <button type="button" class="link" aria-label=${`Raw JSON of event ${seq}`} title="Raw JSON (r)" onClick=${() => setRaw(seq)}>#${seq}</button>
      </span>
    </header>
    <div class="t-parts">
      ${item.parts.map((part, n) => {
        const key = `${seq}.${n}`;
        return html`<${Part} key=${n} part=${part} open=${open.get(key) ?? false} onToggle=${(now) => toggle([key, now])} />`;
      })}
      ${names.length > 0 &&
      html`<details class="t-fold t-state" open=${open.get(changed) ?? false} onToggle=${(event) => toggle([changed, event.currentTarget.open])}>
        <summary>
          <span class="t-mark" aria-hidden="true">±</span><span class="t-name">State</span>
          <span class="t-brief">${names.slice(0, 6).map((name) => `${short(name, 40)} = ${brief(item.state[name], 40)}`).join(", ")}${names.length > 6 ? ` and ${names.length - 6} more` : ""}</span>
        </summary>
        ${open.get(changed) && html`<div class="t-inside"><${Json} value=${item.state} open=${2} /></div>`}
      </details>`}
    </div>
  </article>`;
}

const FAR = 200;

/** Whether an event begins a turn. */
const begins = (log, seq, item) => {
  const before = seq > log.start ? log.at(seq - 1) : null;
  return !before || item.role === "user" || !item.turn || before.turn !== item.turn;
};

/** When the turn of an event began and ended, as far as it is loaded. */
function turnOf(log, seq, item) {
  let [first, last] = [seq, seq];
  while (first > log.start && seq - first < FAR && log.at(first) && !begins(log, first, log.at(first))) first -= 1;
  while (last < log.length && last - seq < FAR && log.at(last + 1) && !begins(log, last + 1, log.at(last + 1))) last += 1;
  return [log.at(first)?.time ?? item.time, log.at(last)?.time ?? item.time];
}

function TimedRow({ seq, item, log, onFocus, setRaw }) {
  const before = seq > log.start ? log.at(seq - 1) : null;
  const starts = begins(log, seq, item);
  const [first, last] = turnOf(log, seq, item);
  const whole = Math.max(last - first, 1e-9);
  const from = starts ? item.time : Math.max(first, before.time);
  const took = Math.max(0, item.time - from);
  const left = Math.max(0, Math.min(100, ((from - first) / whole) * 100));
  const width = Math.max(0.6, Math.min(100 - left, (took / whole) * 100));
  const part = item.parts[0];
  const what = !part ? "state" : part.type === "call" ? `→ ${part.name}` : part.type === "result" ? `← ${part.name}` : part.text ?? part.type;
  return html`<article class=${`t-timed${starts ? " t-begins" : ""}`} id=${`e${seq}`} tabindex="-1" onfocusin=${onFocus} aria-label=${`Event ${seq} took ${duration(took)}`}>
    <span class="t-author">${short(item.author, 24)}</span>
    <span class="t-what">${short(what, 80)}</span>
    <span class="t-track"><span class=${`t-bar t-${item.role}`} style=${{ marginLeft: `${left}%`, width: `${width}%` }}></span></span>
    <span class="num small">${starts ? exact(item.time).slice(11) : duration(took)}</span>
    <button type="button" class="link small" aria-label=${`Raw JSON of event ${seq}`} onClick=${() => setRaw(seq)}>#${seq}</button>
  </article>`;
}

function Search({ where, jump }) {
  const [words, setWords] = useState("");
  const [asked, setAsked] = useState("");
  const field = useRef(null);
  useKeys({ "/": ["Search in this session", () => field.current.focus()] });
  const pages = usePages(asked ? `${where}/search` : null, { q: asked, limit: 20 });
  return html`<search class="t-search">
    <form
      onSubmit=${(event) => {
        event.preventDefault();
        setAsked(words.trim());
      }}
    >
      <input
        ref=${field}
        type="search"
        placeholder="Search in this session"
        aria-label="Search in this session"
        value=${words}
        onInput=${(event) => {
          setWords(event.currentTarget.value);
          if (!event.currentTarget.value.trim()) setAsked("");
        }}
      />
    </form>
    ${asked &&
    html`<div class="t-hits card" role="region" aria-label="What was found">
      <${Failure} error=${pages.error} retry=${pages.reload} known=${false} />
      ${pages.loading && html`<${Loading} rows=${2} />`}
      ${pages.first && !pages.items.length && !pages.partial && html`<p class="muted">Nothing here has these words.</p>`}
      <ul>
        ${pages.items.map(
          (hit) => html`<li key=${hit.seq}>
            <button type="button" class="t-hit" onClick=${() => jump(hit.seq)}>
              <span class="muted small">#${hit.seq} · ${short(hit.author, 40)} · <${Ago} time=${hit.time} /></span>
              <span class="snippet">${short(hit.snippet, 240)}</span>
            </button>
          </li>`,
        )}
      </ul>
      ${pages.partial && html`<p class="muted small">The time for one search was over before all was looked at.</p>`}
      ${pages.more && html`<button type="button" class="button small" disabled=${pages.busy} onClick=${() => pages.loadMore()}>${pages.busy ? "Searching…" : "Search on"}</button>`}
    </div>`}
  </search>`;
}

const SCOPES = [
  ["", "Of the session"],
  ["user:", "Of the user"],
  ["app:", "Of the app"],
];
const scopeOf = (name) => (name.startsWith("user:") ? "user:" : name.startsWith("app:") ? "app:" : "");

function State({ where, state, changed }) {
  const [chosen, setChosen] = useState(null);
  const groups = useMemo(() => {
    const found = new Map(SCOPES.map(([scope]) => [scope, []]));
    for (const name of Object.keys(state).sort()) found.get(scopeOf(name)).push(name);
    return found;
  }, [state]);
  return html`<div class="t-state-page">
    <div class="stack">
      ${!Object.keys(state).length && html`<${Empty} title="No state is set" />`}
      ${SCOPES.map(
        ([scope, label]) =>
          groups.get(scope).length > 0 &&
          html`<section class="card">
            <h2>${label}</h2>
            <ul class="t-values">
              ${groups.get(scope).map(
                (name) => html`<li key=${name}>
                  <button type="button" class="link id" aria-pressed=${String(chosen === name)} title="Who changed it" onClick=${() => setChosen(chosen === name ? null : name)}>${short(name, 80)}</button>
                  <${Json} value=${state[name]} open=${0} label=${visible(name)} />
                </li>`,
              )}
            </ul>
          </section>`,
      )}
    </div>
    <section class="card">
      <div class="card-head">
        <h2>${chosen === null ? "Changes, the newest first" : html`Changes of <span class="id">${short(chosen, 60)}</span>`}</h2>
        ${chosen !== null && html`<button type="button" class="link" onClick=${() => setChosen(null)}>All</button>`}
      </div>
      <${Changes} key=${`${chosen} ${changed}`} where=${where} name=${chosen} />
    </section>
  </div>`;
}

function Changes({ where, name }) {
  const pages = usePages(`${where}/state/changes`, { name: name ?? undefined, limit: 50 });
  return html`<${Failure} error=${pages.error} retry=${pages.reload} known=${pages.first !== null} />
    ${pages.loading && html`<${Loading} rows=${3} />`}
    ${pages.first && !pages.items.length && html`<p class="muted">No event has changed it. It was set when the session was made, or without an event.</p>`}
    <ol class="t-changes">
      ${pages.items.map(
        (each) => html`<li key=${`${each.seq} ${each.name}`}>
          <p class="muted small">
            <span class="id">${short(each.name, 60)}</span> by ${short(each.author || "(nobody)", 40)}, <${Ago} time=${each.time} />,${" "}
            <button type="button" class="link" onClick=${() => setQuery({ view: undefined, at: each.seq }, { replace: false })}>#${each.seq}</button>
          </p>
          ${each.before !== undefined && html`<div class="t-diff t-old"><span aria-hidden="true">−</span><span class="hidden">Before: </span><${Json} value=${each.before} open=${0} label="Before" /></div>`}
          <div class="t-diff t-new"><span aria-hidden="true">+</span><span class="hidden">After: </span><${Json} value=${each.value} open=${0} label="After" /></div>
        </li>`,
      )}
    </ol>
    ${pages.more && html`<button type="button" class="button small" disabled=${pages.busy} onClick=${() => pages.loadMore()}>${pages.busy ? "Loading…" : "Show more"}</button>`}`;
}

function Details({ head }) {
  const pairs = [
    ["Session", html`<span class="id">${visible(head.session)}</span>`],
    ["Status", visible(head.status)],
    ["Summary", head.summary && html`<span class="text">${visible(head.summary)}</span>`],
    ["Events", number(head.length)],
    ["Version", number(head.version)],
    ["Created", html`${exact(head.created)} (<${Ago} time=${head.created} />)`],
    ["Last change", html`${exact(head.updated)} (<${Ago} time=${head.updated} />)`],
    ["Expires", head.expires === null ? "never" : html`${exact(head.expires)} (<${Ago} time=${head.expires} />)`],
    ["Lives", head.ttl === null ? "for ever" : `${duration(head.ttl)} after each change`],
    ["Incarnation", html`<span class="id">${visible(head.incarnation)}</span>`],
  ];
  return html`<div class="stack">
    <section class="card"><${Pairs} pairs=${pairs} /></section>
    ${Object.keys(head.metadata).length > 0 && html`<section class="card"><h2>Metadata</h2><${Json} value=${head.metadata} open=${2} /></section>`}
  </div>`;
}

/** An event as it is stored. */
function Raw({ where, seq, onClose }) {
  const event = useResource(`${where}/events`, { after: seq - 1, limit: 1 });
  const found = (data) => data.items.find((each) => each.seq === seq);
  const copy = async (data) => {
    await navigator.clipboard.writeText(JSON.stringify(found(data), null, 2));
    toast("The JSON is in the clipboard.");
  };
  return html`<${Dialog} title=${`Event #${seq}`} wide onClose=${onClose}>
    <${Loaded} resource=${event} rows=${4}>
      ${(data) =>
        found(data)
          ? html`<${Json} value=${found(data)} open=${3} />
              ${navigator.clipboard && html`<footer><button type="button" class="button" onClick=${() => copy(data)}>Copy</button></footer>`}`
          : html`<p class="muted">It cannot be read, or is not there any more.</p>`}
    <//>
  <//>`;
}
