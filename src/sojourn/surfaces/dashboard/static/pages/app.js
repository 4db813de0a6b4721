// One app: its sessions, newest first over all users, and its users.
import { html } from "../vendor/preact-htm.js";
import { path, usePages, userPath } from "../parts/api.js";
import { href, navigate } from "../parts/router.js";
import { SessionList } from "../parts/sessions.js";
import { Empty } from "../parts/states.js";
import { PagedTable } from "../parts/table.js";
import { short, visible } from "../parts/text.js";

export const title = ({ app }) => app;

export function Page({ params: { app }, query }) {
  const users = query.view === "users";
  return html`<h1 title=${visible(app)}>${short(app, 80)}</h1>
    <nav class="tabs" aria-label="Of this app">
      <a href=${href(path`/apps/${app}`)} aria-current=${users ? undefined : "page"}>Sessions</a>
      <a href=${href(path`/apps/${app}`, { view: "users" })} aria-current=${users ? "page" : undefined}>Users</a>
    </nav>
    ${users ? html`<${Users} app=${app} />` : html`<${SessionList} app=${app} query=${query} />`}`;
}

function Users({ app }) {
  const pages = usePages(path`/apps/${app}/users`);
  const columns = [
    {
      label: "User",
      render: ({ user }) => html`<a class="row-link" href=${href(userPath(app, user))} title=${visible(user)}
        >${user === "" ? html`<i class="muted">(empty)</i>` : short(user)}</a
      >`,
    },
  ];
  return html`<${OpenUser} app=${app} />
    <${PagedTable}
    pages=${pages}
    columns=${columns}
    rowKey=${({ user }) => user}
    caption="Users"
    empty=${html`<${Empty} title="This app has no users">What an app keeps goes by itself when its time is over.<//>`}
  />`;
}

/** Go to a user whose id one knows: among very many, a list is no help. */
function OpenUser({ app }) {
  const open = (event) => {
    event.preventDefault();
    const user = new FormData(event.currentTarget).get("user").trim();
    if (user) navigate(userPath(app, user));
  };
  return html`<form class="filters" onSubmit=${open}>
    <label class="field grow"><span>User id</span><input type="search" name="user" spellcheck=${false} autocomplete="off" /></label>
    <button type="submit" class="button">Open</button>
  </form>`;
}
