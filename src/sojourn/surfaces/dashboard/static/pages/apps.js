// All apps that have users.
import { html } from "../vendor/preact-htm.js";
import { path, usePages, userPath } from "../parts/api.js";
import { useMe } from "../parts/me.js";
import { href, navigate } from "../parts/router.js";
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
  const me = useMe();
  // A key for one user and all apps cannot list apps: nobody keeps a list of a user's.
  const nameless = me.user !== null && me.apps === null;
  return html`<h1>Apps</h1>
    ${nameless ? html`<${OpenApp} me=${me} />` : html`<${AppList} />`}`;
}

function AppList() {
  const pages = usePages("/apps");
  return html`<${PagedTable}
    pages=${pages}
    columns=${COLUMNS}
    rowKey=${({ app }) => app}
    caption="Apps"
    empty=${html`<${Empty} title="No app has kept anything yet">Sessions appear here as soon as an agent writes the first one.<//>`}
  />`;
}

function OpenApp({ me }) {
  const open = (event) => {
    event.preventDefault();
    const app = new FormData(event.currentTarget).get("app").trim();
    if (app) navigate(userPath(app, me.user));
  };
  return html`<p class="muted lead">This key is for the user <b>${short(me.user, 60)}</b>. Of which app?</p>
    <form class="filters" onSubmit=${open}>
      <label class="field grow"><span>App</span><input type="text" name="app" required spellcheck=${false} autocomplete="off" autofocus /></label>
      <button type="submit" class="button primary">Open</button>
    </form>`;
}
