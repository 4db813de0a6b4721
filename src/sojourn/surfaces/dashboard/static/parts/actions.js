// What an operator does to a user as a whole: export, revoke, forget.
import { html } from "../vendor/preact-htm.js";
import { path, send, url, userPath } from "./api.js";
import { ConfirmButton } from "./confirm.js";
import { useMay, useMe } from "./me.js";
import { navigate } from "./router.js";
import { number } from "./time.js";
import { toast } from "./toasts.js";

/** Buttons for the head of a user's page. `changed` is told when the sessions are others now. */
export function UserActions({ app, user, changed }) {
  const below = userPath(app, user);
  const exports = useMe().scope === "admin";
  const may = useMay("admin");
  if (!exports) return null;
  return html`<div class="actions">
    <a class="button" href=${url(`${below}/export`)} download="">Export</a>
    ${may &&
    html`<${ConfirmButton}
      label="Revoke sessions"
      title="Revoke all sessions of this user"
      text="They are deleted with their artifacts, and what processes have buffered for them is refused. The user’s own state and memory stay."
      word=${user}
      action="Revoke"
      act=${() => send("POST", `${below}/revoke`, {})}
      done=${(result) => {
        toast(`${number(result?.sessions ?? 0)} sessions are revoked.`);
        changed?.();
      }}
    />
    <${ConfirmButton}
      label="Forget"
      title="Forget this user"
      text="Everything about the user goes, in every room: sessions, memory, artifacts, threads, cached results and records in quarantine. This cannot be taken back."
      word=${user}
      action="Forget"
      act=${() => send("POST", `${below}/forget`, { confirm: user })}
      done=${() => {
        toast("The user is forgotten.");
        navigate(path`/apps/${app}`, { query: { view: "users" } });
      }}
    />`}
  </div>`;
}
