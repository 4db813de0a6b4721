// Artifacts of a user: files in versions, with a preview of what can be shown without harm.
import { html, useEffect, useState } from "../vendor/preact-htm.js";
import { ApiError, path, send, url, usePages, useResource, userPath } from "../parts/api.js";
import { ConfirmButton } from "../parts/confirm.js";
import { Json } from "../parts/json.js";
import { useMay } from "../parts/me.js";
import { href, setQuery } from "../parts/router.js";
import { QueryField } from "../parts/sessions.js";
import { Detail, Pairs, SealedBadge, Split } from "../parts/split.js";
import { Empty, Failure, Loaded, Loading } from "../parts/states.js";
import { PagedTable } from "../parts/table.js";
import { UserTabs } from "../parts/tabs.js";
import { short, visible } from "../parts/text.js";
import { Ago, bytes, number } from "../parts/time.js";
import { toast } from "../parts/toasts.js";

export const title = ({ user }) => `Artifacts of ${user || "(empty)"}`;

/** Names in the query string that choose what the detail shows. */
const CHOSEN = ["name", "of", "version"];

export function Page({ params: { app, user }, query }) {
  const owner = userPath(app, user);
  const below = `${owner}/artifacts`;
  const { session, name, of } = query;
  const pages = usePages(below, { session, limit: 50 });
  const open = name !== undefined;
  const columns = [
    {
      label: "Name",
      class: "main-cell",
      render: (each) => html`<a
        class="row-link"
        href=${href(below, { session, name: each.name, of: each.session })}
        aria-current=${each.name === name && (each.session ?? undefined) === of ? "true" : undefined}
        title=${visible(each.name)}
        >${short(each.name, 80) || "(empty)"}</a
      >`,
    },
    {
      label: "Of",
      class: "nowrap",
      narrow: false,
      render: (each) =>
        each.session === null || each.session === undefined
          ? html`<span class="muted">the user</span>`
          : html`<a class="id" href=${href(owner + path`/sessions/${each.session}`)} title=${visible(each.session)}>${short(each.session, 24)}</a>`,
    },
    { label: "Versions", class: "num", narrow: false, render: ({ versions }) => number(versions) },
    { label: "Size", class: "num", render: ({ latest }) => (latest?.sealed ? html`<${SealedBadge} sealed=${latest.sealed} />` : bytes(latest?.size)) },
    {
      label: "Type",
      narrow: false,
      render: ({ latest }) => (latest ? (latest.sealed ? "" : short(latest.mime_type, 40)) : html`<span class="badge warn">cannot be read</span>`),
    },
    { label: "Saved", class: "nowrap", narrow: false, render: ({ latest }) => html`<${Ago} time=${latest?.created ?? null} />` },
  ].filter(({ label }) => !open || !["Of", "Type", "Versions"].includes(label));
  return html`<h1 class="with-tabs">Artifacts</h1>
    <${UserTabs} app=${app} user=${user} now="/artifacts" />
    <div class="filters" role="search">
      <${QueryField} name="session" value=${session} label="Session" type="search" placeholder="Id of a session" grow />
      ${session && html`<a class="button quiet" href=${href(below)}>Clear</a>`}
    </div>
    <${Split}
      list=${html`<${PagedTable}
        pages=${pages}
        columns=${columns}
        rowKey=${(each) => `${each.session}\n${each.name}`}
        caption="Artifacts"
        empty=${session
          ? html`<${Empty} title="This session has no artifacts"><a href=${href(below)}>Clear the filter</a> to see all.<//>`
          : html`<${Empty} title="No artifacts">Files that agents save appear here, with all their versions.<//>`}
      />`}
      detail=${open &&
      html`<${ArtifactDetail} key=${`${of}\n${name}`} below=${below} name=${name} session=${of} version=${query.version} changed=${() => pages.reload()} />`}
    />`;
}

function ArtifactDetail({ below, name, session, version, changed }) {
  const may = useMay("write");
  const where = below + path`/${name}`;
  const versions = useResource(`${where}/versions`, { session });
  return html`<${Detail}
    heading=${short(name, 120) || "(empty)"}
    label=${`Artifact ${short(name, 80)}`}
    names=${CHOSEN}
    actions=${may &&
    html`<${ConfirmButton}
      label="Delete"
      title="Delete this artifact"
      text="All of its versions go. This cannot be taken back."
      word=${name}
      act=${() => send("DELETE", where, undefined, { query: { session } })}
      done=${() => {
        toast("The artifact is deleted.");
        changed();
        setQuery(Object.fromEntries(CHOSEN.map((each) => [each, undefined])), { replace: false });
      }}
    />`}
  >
    <${Loaded} resource=${versions} rows=${4}>
      ${({ items }) => html`<${Versions} where=${where} session=${session} versions=${items} version=${version} />`}
    <//>
  <//>`;
}

function Versions({ where, session, versions, version }) {
  const shown = versions.find((each) => String(each.version) === version) ?? versions[0];
  if (!shown) return html`<${Empty} title="No version of it can be read" />`;
  const file = { version: shown.version, session };
  const readable = !shown.newer && !shown.sealed;
  return html`
    ${versions.length > 1 &&
    html`<label class="field">
      <span>Version</span>
      <select value=${shown.version} onChange=${(event) => setQuery({ version: event.currentTarget.value })}>
        ${versions.map(
          (each, n) => html`<option value=${each.version} selected=${each === shown}>
            ${`${each.version}${n ? "" : ", the latest"} · ${bytes(each.size)}`}
          </option>`,
        )}
      </select>
    </label>`}
    ${readable
      ? html`<${Preview} key=${shown.version} where=${where} file=${file} about=${shown} />
          <p><a class="button" href=${url(where, { ...file, download: 1 })} download="">Download</a></p>`
      : html`<p>
          ${shown.sealed
            ? html`<${SealedBadge} sealed=${shown.sealed} /> This server does not have the key.`
            : "A newer version of Sojourn wrote this version: this one cannot read it."}
        </p>`}
    <${Pairs}
      pairs=${[
        ["Version", versions.length === 1 && String(shown.version)],
        ["Type", shown.mime_type && html`<code>${short(shown.mime_type, 120)}</code>`],
        ["Size", html`<span title=${`${number(shown.size)} bytes`}>${bytes(shown.size)}</span>`],
        ["Saved", html`<${Ago} time=${shown.created} none="not known" />`],
        ["Of", session === undefined ? "the user: all sessions have it" : html`the session <span class="id">${visible(session)}</span>`],
      ]}
    />
    ${shown.metadata && Object.keys(shown.metadata).length > 0 && html`<div><h3>Metadata</h3><${Json} value=${shown.metadata} label="Metadata" /></div>`}
  `;
}

// Formats that browsers decode and never run. SVG and HTML are shown as their text.
const IMAGES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp"]);
const AUDIO = /^audio\/(mpeg|mp4|ogg|wav|x-wav|wave|webm|flac|aac)$/;
const VIDEO = /^video\/(mp4|webm|ogg)$/;
const TEXT = /^text\/|^application\/(json|xml|yaml|x-yaml|toml|javascript|x-ndjson|sql|x-sh)$|\+(json|xml)$/;
const BY_ITSELF = 16_000_000;
const TEXT_BYTES = 256 * 1024;

function Preview({ where, file, about }) {
  const type = about.mime_type.split(";")[0].trim().toLowerCase();
  const [wanted, setWanted] = useState(about.size <= BY_ITSELF);
  const [broken, setBroken] = useState(false);
  const source = url(where, file);
  if (TEXT.test(type)) return html`<${TextPreview} source=${source} type=${type} size=${about.size} />`;
  const image = IMAGES.has(type);
  if (!image && !AUDIO.test(type) && !VIDEO.test(type)) {
    return html`<p class="preview none muted">There is no preview of this type.</p>`;
  }
  if (!wanted) {
    return html`<p class="preview none">
      <button type="button" class="button" onClick=${() => setWanted(true)}>Show all ${bytes(about.size)}</button>
    </p>`;
  }
  if (broken) return html`<p class="preview none warn-text" role="alert">The browser cannot show this file: it is not what its type says, or the server did not answer.</p>`;
  const failed = () => setBroken(true);
  if (image) {
    return html`<div class="preview"><img src=${source} alt=${`Preview of version ${about.version}`} onError=${failed} /></div>`;
  }
  return AUDIO.test(type)
    ? html`<div class="preview"><audio controls preload="metadata" src=${source} onError=${failed}></audio></div>`
    : html`<div class="preview"><video controls preload="metadata" src=${source} onError=${failed}></video></div>`;
}

function TextPreview({ source, type, size }) {
  const [text, setText] = useState(null);
  const [error, setError] = useState(null);
  useEffect(() => {
    const stop = new AbortController();
    read(source, size, stop.signal).then(setText, (failed) => {
      if (!stop.signal.aborted) setError(failed);
    });
    return () => stop.abort();
  }, [source]);
  if (error) return html`<${Failure} error=${error} />`;
  if (text === null) return html`<${Loading} rows=${4} />`;
  const cut = size > TEXT_BYTES;
  const json = !cut && /json$/.test(type) && parsed(text);
  return html`${json
      ? html`<div class="preview"><${Json} value=${json.value} open=${2} label="Content" /></div>`
      : html`<pre class="preview" tabindex="0" aria-label="Content">${visible(text)}</pre>`}
    ${cut && html`<p class="muted small">The first ${bytes(TEXT_BYTES)} of ${bytes(size)}.</p>`}`;
}

async function read(source, size, signal) {
  let response;
  try {
    const range = size > TEXT_BYTES ? { Range: `bytes=0-${TEXT_BYTES - 1}` } : {};
    response = await fetch(source, { headers: range, signal, credentials: "same-origin" });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError(0, { detail: "Sojourn's server may be restarting." });
  }
  if (!response.ok) throw new ApiError(response.status, await response.json().catch(() => ({})));
  const data = new Uint8Array(await response.arrayBuffer());
  return new TextDecoder().decode(data.subarray(0, TEXT_BYTES));
}

function parsed(text) {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return null;
  }
}
