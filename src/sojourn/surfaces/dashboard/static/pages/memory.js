// Memory of a user: a list with search, and one entry to read, change or delete.
import { html, useEffect, useMemo, useState } from "../vendor/preact-htm.js";
import { path, request, send, usePages, useResource, userPath } from "../parts/api.js";
import { ConfirmButton } from "../parts/confirm.js";
import { Dialog } from "../parts/dialog.js";
import { Json } from "../parts/json.js";
import { useKeys } from "../parts/keys.js";
import { useMay } from "../parts/me.js";
import { href, setQuery } from "../parts/router.js";
import { QueryChoice, QueryField } from "../parts/sessions.js";
import { Detail, Pairs, SealedBadge, Split } from "../parts/split.js";
import { Empty, Failure, Loaded } from "../parts/states.js";
import { PagedTable } from "../parts/table.js";
import { UserTabs } from "../parts/tabs.js";
import { short, visible } from "../parts/text.js";
import { Ago } from "../parts/time.js";
import { toast } from "../parts/toasts.js";

export const title = ({ user }) => `Memory of ${user || "(empty)"}`;

const SCOPES = [
  ["", "Of the user"],
  ["sessions", "Of sessions"],
  ["events", "Of events"],
];

export function Page({ params: { app, user }, query }) {
  const below = `${userPath(app, user)}/memory`;
  const { q, prefix, scope, key } = query;
  const pages = usePages(below, { q, prefix, scope, limit: 50 });
  const may = useMay("write");
  const [writing, setWriting] = useState(false);
  useKeys(may ? { n: ["New entry", () => setWriting(true)] } : {});
  // While a search is under way the rows of before still stand there.
  const best = q && pages.items[0]?.score;
  const columns = [
    ...(best ? [{ label: "Score", class: "num", render: ({ score }) => html`<${Score} score=${score} best=${best} />` }] : []),
    {
      label: "Key",
      class: "key-cell",
      render: (entry) => html`<a
        class="row-link id"
        href=${href(below, { ...query, key: entry.key })}
        aria-current=${entry.key === key ? "true" : undefined}
        title=${visible(entry.key)}
        >${short(entry.key, 60) || "(empty)"}</a
      >`,
    },
    { label: "Value", class: "value-cell", render: ({ value }) => html`<span class="muted line">${preview(value)}</span>` },
    { label: "Updated", class: "nowrap", narrow: false, render: ({ updated }) => html`<${Ago} time=${updated} />` },
    ...(key === undefined
      ? [{ label: "Expires", class: "nowrap", narrow: false, render: ({ expires }) => html`<${Ago} time=${expires} none="never" />` }]
      : []),
  ];
  const filtered = Boolean(q || prefix);
  const changed = () => pages.reload();
  return html`<div class="page-head">
      <h1>Memory</h1>
      ${may && html`<div class="actions"><button type="button" class="button" onClick=${() => setWriting(true)}>New entry</button></div>`}
    </div>
    <${UserTabs} app=${app} user=${user} now="/memory" />
    <div class="filters" role="search">
      <${QueryField} name="q" value=${q} label="Search" type="search" placeholder="Words in values" grow />
      <${QueryField} name="prefix" value=${prefix} label="Key starts with" />
      <${QueryChoice} name="scope" value=${scope} label="Memory" choices=${SCOPES} />
      ${filtered && html`<a class="button quiet" href=${href(below, { scope, key })}>Clear</a>`}
    </div>
    <${Split}
      list=${html`<${PagedTable}
          pages=${pages}
          columns=${columns}
          rowKey=${({ key: name }) => name}
          caption=${q ? "Entries that match, the best first" : "Entries, the newest change first"}
          empty=${filtered
            ? html`<${Empty} title="No entry matches"><a href=${href(below, { scope })}>Clear the search</a> to see all.<//>`
            : html`<${Empty} title="Nothing is remembered here">Entries appear here as soon as an agent stores one.<//>`}
        />
        <${Unread} page=${pages.first} to=${(name) => href(below, { ...query, key: name })} />`}
      detail=${key !== undefined &&
      html`<${EntryDetail} key=${`${scope}\n${key}`} below=${below} scope=${scope} name=${key} may=${may} changed=${changed} />`}
    />
    ${writing &&
    html`<${EntryForm}
      title="New entry"
      below=${below}
      scope=${scope}
      onClose=${() => setWriting(false)}
      done=${(name) => {
        changed();
        setQuery({ key: name }, { replace: false });
      }}
    />`}`;
}

/** How a value begins, in one line. Strings are shown as they are. */
function preview(value) {
  const text = typeof value === "string" ? value.slice(0, 400) : JSON.stringify(value)?.slice(0, 400);
  return short(text ?? "", 160);
}

const Score = ({ score, best }) =>
  html`<span class="score" title=${`Score ${score}; to be compared within one search only`}
    ><meter min="0" max="1" value=${Math.min(1, score / best)} aria-hidden="true"></meter>${score.toPrecision(3)}</span
  >`;

/** Keys whose entries are there and cannot be read: never left out in silence. */
function Unread({ page, to }) {
  if (!page) return null;
  const sealed = page.sealed || [];
  const known = new Set(sealed.map(({ key }) => key));
  const groups = [
    ["Sealed with keys that this server does not have", sealed.map(({ key }) => key)],
    ["Written by a newer version of Sojourn", (page.newer || []).filter((key) => !known.has(key))],
    ["Cannot be read: see the quarantine", page.corrupt || []],
  ].filter(([, keys]) => keys.length);
  return groups.map(
    ([why, keys]) => html`<p class="unread"><span class="badge warn">${keys.length}</span> ${why}:${" "}
      ${keys.slice(0, 20).map((key, n) => html`${n ? ", " : ""}<a class="id" href=${to(key)}>${short(key, 60)}</a>`)}${keys.length > 20 ? " …" : ""}</p>`,
  );
}

function EntryDetail({ below, scope, name, may, changed }) {
  const where = below + path`/${name}`;
  const entry = useResource(where, { scope });
  const [editing, setEditing] = useState(false);
  useKeys(may && entry.data ? { e: ["Change the entry", () => setEditing(true)] } : {});
  // What cannot be read can be deleted all the same.
  const there = entry.data || (entry.error && !entry.error.retryable && entry.error.status !== 404);
  const actions =
    may &&
    there &&
    html`${entry.data && html`<button type="button" class="button small" onClick=${() => setEditing(true)}>Change</button>`}
      <${ConfirmButton}
        label="Delete"
        title="Delete this entry"
        text="The agent will not remember it any more. This cannot be taken back."
        word=${name}
        act=${() => send("DELETE", where, undefined, { query: { scope }, ifMatch: entry.etag })}
        done=${() => {
          toast("The entry is deleted.");
          changed();
          setQuery({ key: undefined }, { replace: false });
        }}
      />`;
  return html`<${Detail} heading=${html`<span class="id">${short(name, 120) || "(empty)"}</span>`} label=${`Entry ${short(name, 80)}`} names=${["key"]} actions=${actions}>
      <${Loaded} resource=${entry} rows=${4}>
        ${(data) => html`${data.sealed && html`<p><${SealedBadge} sealed=${data.sealed} /> This server does not have the key.</p>`}
          ${data.value !== undefined && html`<${Value} value=${data.value} />`}
          <${Pairs}
            pairs=${[
              ["Version", data.version],
              ["Updated", html`<${Ago} time=${data.updated} />`],
              ["Created", html`<${Ago} time=${data.created} />`],
              ["Expires", html`<${Ago} time=${data.expires} none="never" />`],
              ["Tenant", data.tenant && visible(data.tenant)],
              ["Searched text", data.text !== null && data.text !== undefined && html`<span class="text">${short(data.text, 2000)}</span>`],
            ]}
          />
          ${data.metadata && Object.keys(data.metadata).length > 0 && html`<div><h3>Metadata</h3><${Json} value=${data.metadata} label="Metadata" /></div>`}`}
      <//>
    <//>
    ${editing &&
    html`<${EntryForm}
      title="Change the entry"
      below=${below}
      scope=${scope}
      entry=${entry.data}
      etag=${entry.etag}
      onClose=${() => setEditing(false)}
      done=${() => {
        entry.reload();
        changed();
      }}
    />`}`;
}

const Value = ({ value }) =>
  typeof value === "string"
    ? html`<p class="text value-text">${visible(value.slice(0, 20_000))}${value.length > 20_000 ? "…" : ""}</p>`
    : html`<${Json} value=${value} open=${3} label="Value" />`;

/** What was typed as JSON; plain words count as a string, so that nobody needs quotes for a note. */
function parsed(text) {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    if (/^\s*[[{"]/.test(text)) return { error: `This is not JSON: ${error.message}` };
    return { value: text };
  }
}

function EntryForm({ title: heading, below, scope, entry, etag, onClose, done }) {
  const before = useMemo(() => (entry ? JSON.stringify(entry.value, null, 2) : ""), []);
  const [name, setName] = useState(entry?.key ?? "");
  const [text, setText] = useState(before);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  const [wrong, setWrong] = useState("");
  useEffect(() => setWrong(""), [text]);
  async function submit(event) {
    event.preventDefault();
    const { value, error: flaw } = parsed(text);
    if (flaw) {
      setWrong(flaw);
      return;
    }
    setBusy(true);
    setError(null);
    try {
      // Only what is as it was when it was shown is replaced; a new entry replaces nothing.
      const kept = entry ? { metadata: entry.metadata, text: entry.text ?? undefined } : {};
      const condition = entry ? { ifMatch: etag } : { ifNoneMatch: "*" };
      await request("PUT", below + path`/${name}`, { query: { scope }, body: { value, ...kept }, ...condition });
      onClose();
      done(name);
      toast("The entry is stored.");
    } catch (failed) {
      setError(failed);
      setBusy(false);
    }
  }
  return html`<${Dialog} title=${heading} onClose=${onClose} wide>
    <form onSubmit=${submit}>
      ${entry
        ? html`<p class="id">${visible(name)}</p>`
        : html`<label class="field">
            <span>Key</span>
            <input type="text" required autofocus spellcheck=${false} autocomplete="off" value=${name} onInput=${(event) => setName(event.currentTarget.value)} />
          </label>`}
      <label class="field">
        <span>Value, as JSON or plain text</span>
        <textarea
          class="mono"
          rows="12"
          required
          spellcheck=${false}
          autofocus=${Boolean(entry)}
          aria-invalid=${wrong ? "true" : undefined}
          aria-describedby=${wrong ? "value-wrong" : undefined}
          value=${text}
          onInput=${(event) => setText(event.currentTarget.value)}
        ></textarea>
      </label>
      ${wrong && html`<p class="error-text" id="value-wrong" role="alert">${wrong}</p>`}
      ${error?.status === 412
        ? html`<${Failure} error=${Object.assign(error, { title: entry ? "It has changed meanwhile" : "There is an entry of this key" })} />`
        : html`<${Failure} error=${error} />`}
      <footer>
        <button type="button" class="button" onClick=${(event) => event.currentTarget.closest("dialog").close()}>Cancel</button>
        <button type="submit" class="button primary" disabled=${busy}>${busy ? "Storing…" : "Store"}</button>
      </footer>
    </form>
  <//>`;
}
