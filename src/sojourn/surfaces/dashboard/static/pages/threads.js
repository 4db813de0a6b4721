// Threads of a user: checkpoints of graphs, the newest first.
import { html } from "../vendor/preact-htm.js";
import { path, usePages, userPath } from "../parts/api.js";
import { href } from "../parts/router.js";
import { Empty } from "../parts/states.js";
import { PagedTable } from "../parts/table.js";
import { UserTabs } from "../parts/tabs.js";
import { short, visible } from "../parts/text.js";
import { Ago, number } from "../parts/time.js";

export const title = ({ user }) => `Threads of ${user || "(empty)"}`;

export function Page({ params: { app, user } }) {
  const below = `${userPath(app, user)}/threads`;
  const pages = usePages(below, { limit: 50 });
  const columns = [
    {
      label: "Thread",
      class: "main-cell",
      render: (each) => html`<p>
          <a class="row-link" href=${href(below + path`/${each.thread}`)} title=${visible(each.title || each.thread)}
            >${each.title ? short(each.title, 100) : html`<span class="id">${short(each.thread, 60)}</span>`}</a
          >
          ${each.newer && html` <span class="badge warn">newer format</span>`}
        </p>
        ${each.title && html`<p class="muted small id">${short(each.thread, 60)}</p>`}`,
    },
    { label: "Checkpoints", class: "num", render: ({ checkpoints }) => number(checkpoints) },
    { label: "Created", class: "nowrap", narrow: false, render: ({ created }) => html`<${Ago} time=${created} />` },
    { label: "Updated", class: "nowrap", render: ({ updated }) => html`<${Ago} time=${updated} />` },
    { label: "Expires", class: "nowrap", narrow: false, render: ({ expires }) => html`<${Ago} time=${expires} none="never" />` },
  ];
  return html`<h1 class="with-tabs">Threads</h1>
    <${UserTabs} app=${app} user=${user} now="/threads" />
    <${PagedTable}
      pages=${pages}
      columns=${columns}
      rowKey=${({ thread }) => thread}
      caption="Threads, the newest change first"
      empty=${html`<${Empty} title="No threads">Checkpoints of LangGraph and other graphs appear here.<//>`}
    />`;
}
