// One user of an app: their sessions.
import { html } from "../vendor/preact-htm.js";
import { SessionList } from "../parts/sessions.js";
import { UserTabs } from "../parts/tabs.js";
import { short, visible } from "../parts/text.js";

export const title = ({ user }) => user || "(empty)";

export function Page({ params: { app, user }, query }) {
  return html`<h1 title=${visible(user)}>${user === "" ? "(empty)" : short(user, 80)}</h1>
    <${UserTabs} app=${app} user=${user} now="" />
    <${SessionList} app=${app} user=${user} query=${query} />`;
}
