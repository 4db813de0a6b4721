// One user of an app: their sessions.
import { html, useState } from "../vendor/preact-htm.js";
import { UserActions } from "../parts/actions.js";
import { SessionList } from "../parts/sessions.js";
import { UserTabs } from "../parts/tabs.js";
import { short, visible } from "../parts/text.js";

export const title = ({ user }) => user || "(empty)";

export function Page({ params: { app, user }, query }) {
  const [turn, setTurn] = useState(0);
  return html`<div class="page-head">
      <h1 title=${visible(user)}>${user === "" ? "(empty)" : short(user, 80)}</h1>
      <${UserActions} app=${app} user=${user} changed=${() => setTurn(turn + 1)} />
    </div>
    <${UserTabs} app=${app} user=${user} now="" />
    <${SessionList} key=${turn} app=${app} user=${user} query=${query} />`;
}
