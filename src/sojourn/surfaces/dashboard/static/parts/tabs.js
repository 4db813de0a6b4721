// What belongs to one user, side by side: tabs over the pages of sessions, memory and the rest.
import { html } from "../vendor/preact-htm.js";
import { userPath } from "./api.js";
import { useMe } from "./me.js";
import { href } from "./router.js";

const TABS = [
  ["sessions", "Sessions", ""],
  ["memory", "Memory", "/memory"],
  ["artifacts", "Artifacts", "/artifacts"],
  ["checkpoints", "Threads", "/threads"],
  ["quarantine", "Quarantine", "/quarantine"],
];

/** The tabs of a user's pages; `now` is the path of this one ("", "/memory", …). */
export function UserTabs({ app, user, now }) {
  useMe();
  return html`<nav class="tabs" aria-label="Of this user">
    ${TABS.map(
      ([, label, below]) => html`<a
        href=${href(userPath(app, user) + below)}
        aria-current=${below === now ? "page" : undefined}
        >${label}</a
      >`,
    )}
  </nav>`;
}
