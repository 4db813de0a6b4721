// All apps that have users.
import { html } from "../vendor/preact-htm.js";
import { path, usePages } from "../parts/api.js";
import { href } from "../parts/router.js";
import { Empty } from "../parts/states.js";
import { PagedTable } from "../parts/table.js";
import { short, visible } from "../parts/text.js";

export const title = "Apps";

const COLUMNS = [
  {
    label: "App",
    render: ({ app }) => html`<a class="row-link" href=${href(path`/apps/${app}`)} title=${visible(app)}>${short(app)}</a>`,
  },
];

export function Page() {
  const pages = usePages("/apps");
  return html`<h1>Apps</h1>
    <${PagedTable}
      pages=${pages}
      columns=${COLUMNS}
      rowKey=${({ app }) => app}
      caption="Apps"
      empty=${html`<${Empty} title="No app has kept anything yet">Sessions appear here as soon as an agent writes the first one.<//>`}
    />`;
}
