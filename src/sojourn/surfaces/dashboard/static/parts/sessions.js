// Lists of sessions with their filters, which live in the address.
import { html, useEffect, useMemo, useRef, useState } from "../vendor/preact-htm.js";
import { path, usePages, userPath } from "./api.js";
import { href, setQuery } from "./router.js";
import { Empty } from "./states.js";
import { PagedTable } from "./table.js";
import { short, visible } from "./text.js";
import { Ago, number } from "./time.js";

/** The path of a session's page and, below /v1, of its calls. */
export const sessionPath = ({ app, user, session }) =>
  userPath(app, user) + path`/sessions/${session}`;

const HOUR = 3600;
const PERIODS = [
  ["", "Any time"],
  ["1h", "Last hour", HOUR],
  ["24h", "Last 24 hours", 24 * HOUR],
  ["7d", "Last 7 days", 7 * 24 * HOUR],
  ["30d", "Last 30 days", 30 * 24 * HOUR],
];
const TYPING_MS = 250;

/** A field whose text goes into the address once typing pauses. */
export function QueryField({ name, value = "", label, type = "text", placeholder, grow = false }) {
  const [text, setText] = useState(value);
  const timer = useRef(0);
  const sent = useRef(value);
  useEffect(() => {
    if (value !== sent.current) setText(value);
    sent.current = value;
  }, [value]);
  const put = (next) => {
    clearTimeout(timer.current);
    sent.current = next.trim();
    setQuery({ [name]: sent.current });
  };
  useEffect(() => () => clearTimeout(timer.current), []);
  return html`<label class=${`field${grow ? " grow" : ""}`}>
    <span>${label}</span>
    <input
      type=${type}
      value=${text}
      placeholder=${placeholder}
      spellcheck=${false}
      autocomplete="off"
      onInput=${(event) => {
        const next = event.currentTarget.value;
        setText(next);
        clearTimeout(timer.current);
        timer.current = setTimeout(() => put(next), TYPING_MS);
      }}
      onKeyDown=${(event) => event.key === "Enter" && put(event.currentTarget.value)}
    />
  </label>`;
}

/** A choice that goes into the address. `choices`: [[value, label], …], the first is the default. */
export function QueryChoice({ name, value = "", label, choices }) {
  return html`<label class="field">
    <span>${label}</span>
    <select value=${value} onChange=${(event) => setQuery({ [name]: event.currentTarget.value })}>
      ${choices.map(([each, text]) => html`<option value=${each} selected=${each === value}>${text}</option>`)}
    </select>
  </label>`;
}

const TONES = { active: "accent", done: "good", failed: "bad", error: "bad", waiting: "warn" };

/** The status of a session, which is any word of the application's. */
export const Status = ({ status }) =>
  html`<span class=${`badge ${TONES[status] || ""}`} title=${visible(status)}>${short(status, 24)}</span>`;

/** Labels as chips; each is a link to the list of those that have it, if `to(label)` gives one. */
export const LabelChips = ({ labels, to }) => {
  const pairs = Object.entries(labels || {});
  if (!pairs.length) return null;
  return html`<span class="chips">
    ${pairs.map(([name, value]) => {
      const text = short(`${name}: ${value}`, 40);
      return to
        ? html`<a class="chip" href=${to(`${name}:${value}`)} title=${`Only sessions with ${text}`}>${text}</a>`
        : html`<span class="chip">${text}</span>`;
    })}
  </span>`;
};

/** A session's title and id, as the link to it. */
function Named({ session, user }) {
  const { title, summary } = session;
  return html`<p>
      <a class="row-link" href=${href(sessionPath(session))} title=${visible(title || session.session)}
        >${title ? short(title, 100) : html`<span class="id">${short(session.session, 60)}</span>`}</a
      >
    </p>
    ${title && html`<p class="muted small id">${short(session.session, 60)}</p>`}
    ${user && html`<p class="muted small narrow-only">${short(session.user, 60) || "(empty)"}</p>`}
    ${summary && html`<p class="muted small summary">${short(summary, 140)}</p>`}`;
}

/** The sessions of an app (newest first over all users) or, with `user`, of one user. */
export function SessionList({ app, user, query }) {
  const one = user !== undefined;
  if (one && query.in === "content") return html`<${Content} app=${app} user=${user} query=${query} />`;
  return html`<${Titles} ...${{ app, user, query }} />`;
}

const WHERE = [["", "Titles and ids"], ["content", "Content of events"]];

/** Events of a user's sessions by what they say, newest first. */
function Content({ app, user, query }) {
  const { q } = query;
  const base = userPath(app, user);
  const pages = usePages(q ? `${base}/search` : null, { q, limit: 50 });
  const columns = [
    {
      label: "Event",
      class: "main-cell",
      render: ({ session, seq, author, snippet }) => html`<p>
          <a class="row-link snippet" href=${href(base + path`/sessions/${session}`, { at: seq })}>${short(snippet, 240)}</a>
        </p>
        <p class="muted small">${short(author, 40)} · <span class="nowrap">event ${number(seq)}</span></p>`,
    },
    { label: "Session", class: "user-cell", narrow: false, render: ({ session }) => html`<a class="id" href=${href(base + path`/sessions/${session}`)} title=${visible(session)}>${short(session, 40)}</a>` },
    { label: "Time", class: "nowrap", render: ({ time }) => html`<${Ago} time=${time} />` },
  ];
  return html`
    <div class="filters" role="search">
      <${QueryField} name="q" value=${q} label="Search" type="search" placeholder="Words in events" grow />
      <${QueryChoice} name="in" value="content" label="In" choices=${WHERE} />
    </div>
    ${q
      ? html`<${PagedTable}
          pages=${pages}
          columns=${columns}
          rowKey=${({ session, seq }) => `${session}\n${seq}`}
          caption="Events found"
          empty=${html`<${Empty} title="No event says that">All sessions of this user were searched.<//>`}
        />`
      : html`<${Empty} title="Search what was said">Events of all sessions of this user are searched, newest first.<//>`}
  `;
}

function Titles({ app, user, query }) {
  const one = user !== undefined;
  const base = one ? userPath(app, user) : path`/apps/${app}`;
  const { q, status, period, order } = query;
  const labels = [query.label ?? []].flat();
  // A period is counted from when it was chosen, in whole minutes: pages must go on with the same.
  const since = useMemo(() => {
    const [, , length] = PERIODS.find(([name]) => name === period) || [];
    return length ? Math.floor(Date.now() / 60_000) * 60 - length : undefined;
  }, [period]);
  const pages = usePages(`${base}/sessions`, {
    q,
    status,
    label: labels,
    since,
    order: one ? order : undefined,
    limit: 50,
  });
  const filtered = Boolean(q || status || labels.length || period);
  const labelled = (label) => href(base, { ...query, label: [...new Set([...labels, label])] });
  const columns = [
    { label: "Session", class: "main-cell", render: (session) => html`<${Named} session=${session} user=${!one} />` },
    ...(one
      ? []
      : [
          {
            label: "User",
            class: "user-cell",
            narrow: false,
            render: (session) =>
              html`<a class="id" href=${href(userPath(app, session.user))} title=${visible(session.user)}
                >${session.user === "" ? "(empty)" : short(session.user, 32)}</a
              >`,
          },
        ]),
    { label: "Status", narrow: false, render: ({ status: word }) => html`<${Status} status=${word} />` },
    {
      label: "Labels",
      narrow: false,
      render: (session) => html`<${LabelChips} labels=${session.labels} to=${labelled} />`,
    },
    { label: "Events", class: "num", narrow: false, render: ({ length }) => number(length) },
    { label: "Created", class: "nowrap roomy", narrow: false, render: ({ created }) => html`<${Ago} time=${created} />` },
    { label: "Updated", class: "nowrap", render: ({ updated }) => html`<${Ago} time=${updated} />` },
    {
      label: "Expires",
      class: "nowrap",
      narrow: false,
      render: ({ expires }) => html`<${Ago} time=${expires} none="never" />`,
    },
  ];
  const clear = href(base);
  return html`
    <div class="filters" role="search">
      <${QueryField} name="q" value=${q} label="Search" type="search" placeholder="Id, title, summary, metadata" grow />
      ${one && html`<${QueryChoice} name="in" value="" label="In" choices=${WHERE} />`}
      <${QueryField} name="status" value=${status} label="Status" placeholder="active" />
      <${QueryChoice} name="period" value=${period} label="Updated" choices=${PERIODS} />
      ${one &&
      html`<${QueryChoice} name="order" value=${order} label="Order" choices=${[["", "Newest first"], ["oldest", "Oldest first"]]} />`}
      ${labels.map(
        (label) => html`<button
          type="button"
          class="button filter-chip"
          title="Take this filter out"
          onClick=${() => setQuery({ label: labels.filter((each) => each !== label) })}
        >
          ${short(label.replace(":", ": "), 40)} <span aria-hidden="true">×</span><span class="hidden">, take this filter out</span>
        </button>`,
      )}
      ${filtered && html`<a class="button quiet" href=${clear}>Clear</a>`}
    </div>
    <${PagedTable}
      pages=${pages}
      columns=${columns}
      rowKey=${(session) => `${session.user}\n${session.session}`}
      caption="Sessions"
      empty=${filtered
        ? html`<${Empty} title="No session matches"><a href=${clear}>Clear the filters</a> to see all.<//>`
        : html`<${Empty} title=${one ? "This user has no sessions" : "This app has no sessions"}>
            Sessions go by themselves when their time is over.
          <//>`}
    />
  `;
}
