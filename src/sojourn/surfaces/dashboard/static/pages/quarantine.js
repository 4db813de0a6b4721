// Quarantine: stored records that could not be read, with their bytes.
import { html, useMemo, useState } from "../vendor/preact-htm.js";
import { path, send, usePages, useResource, userPath } from "../parts/api.js";
import { ConfirmButton } from "../parts/confirm.js";
import { useMay } from "../parts/me.js";
import { href, setQuery } from "../parts/router.js";
import { Detail, Pairs, SealedBadge, Split } from "../parts/split.js";
import { Empty, Loaded } from "../parts/states.js";
import { PagedTable } from "../parts/table.js";
import { UserTabs } from "../parts/tabs.js";
import { short, visible } from "../parts/text.js";
import { Ago, bytes, number } from "../parts/time.js";
import { toast } from "../parts/toasts.js";

export const title = ({ user }) => (user === undefined ? "Quarantine" : `Quarantine of ${user || "(empty)"}`);

/** Names in the query string that choose a record. */
const CHOSEN = ["id", "app", "user"];

/** The quarantine of a user, or of all. */
export function Page({ params, query }) {
  const one = params.user !== undefined;
  const here = one ? `${userPath(params.app, params.user)}/quarantine` : "/quarantine";
  const pages = usePages(here, { limit: 50 });
  // An empty user is not in the query string at all, and a user like any other.
  const owner = one ? params : { app: query.app, user: query.user ?? "" };
  const open = query.id !== undefined && owner.app !== undefined;
  const to = (each) => href(here, one ? { id: each.id } : { id: each.id, app: each.app, user: each.user });
  const columns = [
    { label: "Found", class: "nowrap", render: ({ time }) => html`<${Ago} time=${time} />` },
    ...(one || open
      ? []
      : [
          {
            label: "User",
            class: "user-cell",
            narrow: false,
            render: ({ app, user }) => html`<a class="id" href=${href(userPath(app, user))} title=${visible(`${app} / ${user}`)}>${short(`${app} / ${user || "(empty)"}`, 40)}</a>`,
          },
        ]),
    {
      label: "Record",
      class: "main-cell",
      render: (each) => html`<p><a class="row-link id" href=${to(each)} aria-current=${each.id === query.id ? "true" : undefined} title=${visible(each.key)}>${short(each.key, 80)}${each.field && ` · ${short(each.field, 40)}`}</a></p>
        <p class="muted small">${short(each.reason, 160)}</p>`,
    },
    { label: "Size", class: "num", narrow: false, render: ({ size, sealed }) => html`${sealed && html`<${SealedBadge} sealed=${sealed} /> `}${bytes(size)}` },
  ];
  return html`<h1 class=${one ? "with-tabs" : ""}>Quarantine</h1>
    ${one && html`<${UserTabs} app=${params.app} user=${params.user} now="/quarantine" />`}
    <p class="muted lead">What could not be read is kept here with its bytes. Where it came from, nothing was changed.</p>
    <${Split}
      list=${html`<${PagedTable}
        pages=${pages}
        columns=${columns}
        rowKey=${(each) => `${each.app}\n${each.user}\n${each.id}`}
        caption="Records that could not be read, the newest first"
        empty=${html`<${Empty} title="Nothing in quarantine">Every record that was read so far could be read.<//>`}
      />`}
      detail=${open && html`<${RecordDetail} key=${`${owner.app}\n${owner.user}\n${query.id}`} owner=${owner} id=${query.id} changed=${() => pages.reload()} />`}
    />`;
}

function RecordDetail({ owner, id, changed }) {
  const may = useMay("admin");
  const where = `${userPath(owner.app, owner.user)}/quarantine${path`/${id}`}`;
  const record = useResource(where);
  return html`<${Detail}
    heading=${html`<span class="id">${short(id, 40)}</span>`}
    label=${`Record ${short(id, 40)}`}
    names=${CHOSEN}
    actions=${may &&
    record.data &&
    html`<${ConfirmButton}
      label="Remove"
      title="Remove this record from the quarantine"
      text="Its bytes are kept nowhere else if the record itself was replaced. Where it came from, nothing is changed."
      word=${id}
      action="Remove"
      act=${() => send("DELETE", where)}
      done=${() => {
        toast("The record is removed from the quarantine.");
        changed();
        setQuery(Object.fromEntries(CHOSEN.map((each) => [each, undefined])), { replace: false });
      }}
    />`}
  >
    <${Loaded} resource=${record} rows=${4}>
      ${(data) => html`<${Pairs}
          pairs=${[
            ["Reason", visible(data.reason)],
            ["Key", html`<span class="id">${visible(data.key)}</span>`],
            ["Field", data.field ? html`<span class="id">${visible(data.field)}</span>` : "the whole key"],
            ["User", html`<span class="id">${visible(`${owner.app} / ${owner.user || "(empty)"}`)}</span>`],
            ["Found", html`<${Ago} time=${data.time} />`],
            ["Size", html`<span title=${`${number(data.size)} bytes`}>${bytes(data.size)}${data.kept < data.size ? `, the first ${bytes(data.kept)} are kept` : ""}</span>`],
            ["Sealed", data.sealed && html`<${SealedBadge} sealed=${data.sealed} />`],
          ]}
        />
        <${Bytes} raw=${data.raw} kept=${data.kept} />`}
    <//>
  <//>`;
}

const ROW = 16;
const SHOWN = 2048;

/** Bytes as text and in hexadecimal. */
function Bytes({ raw, kept }) {
  const data = useMemo(() => Uint8Array.from(atob(raw || ""), (each) => each.charCodeAt(0)), [raw]);
  const [most, setMost] = useState(SHOWN);
  if (!data.length) return html`<p class="muted">It had no bytes.</p>`;
  const part = data.subarray(0, most);
  const rest = data.length - part.length;
  return html`<div><h3>Text</h3><pre class="preview dump" tabindex="0" aria-label="Bytes as text">${visible(new TextDecoder().decode(part))}</pre></div>
    <div><h3>Hexadecimal</h3><pre class="preview dump hex" tabindex="0" aria-label="Bytes in hexadecimal">${hex(part)}</pre></div>
    ${rest > 0
      ? html`<p><button type="button" class="button" onClick=${() => setMost(most * 8)}>Show more</button> <span class="muted small">${bytes(part.length)} of ${bytes(data.length)}</span></p>`
      : kept > data.length && html`<p class="muted small">The first ${bytes(data.length)}: <code>sojourn quarantine show --json</code> has all.</p>`}`;
}

/** Lines of offset, bytes in hexadecimal, and what of them is printable ASCII. */
function hex(data) {
  const lines = [];
  for (let start = 0; start < data.length; start += ROW) {
    const row = [...data.subarray(start, start + ROW)];
    const digits = row.map((each) => each.toString(16).padStart(2, "0")).join(" ");
    const text = row.map((each) => (each > 0x1f && each < 0x7f ? String.fromCharCode(each) : ".")).join("");
    lines.push(`${start.toString(16).padStart(6, "0")}  ${digits.padEnd(3 * ROW - 1)}  ${text}`);
  }
  return lines.join("\n");
}
