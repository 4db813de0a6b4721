// The dashboard: which page stands at which path. A page is loaded when it is first opened.
import { html, render } from "./vendor/preact-htm.js";
import { Shell } from "./parts/shell.js";

const USER = "/apps/:app/users/:user";

const ROUTES = [
  ["/", () => import("./pages/overview.js")],
  ["/apps", () => import("./pages/apps.js")],
  ["/apps/:app", () => import("./pages/app.js")],
  [USER, () => import("./pages/user.js")],
  [`${USER}/sessions/:session`, () => import("./pages/session.js")],
  [`${USER}/memory`, () => import("./pages/memory.js")],
  [`${USER}/artifacts`, () => import("./pages/artifacts.js")],
  [`${USER}/threads`, () => import("./pages/threads.js")],
  [`${USER}/threads/:thread`, () => import("./pages/thread.js")],
  [`${USER}/quarantine`, () => import("./pages/quarantine.js")],
  ["/quarantine", () => import("./pages/quarantine.js")],
  ["/doctor", () => import("./pages/doctor.js")],
  ["/cache", () => import("./pages/cache.js")],
];

const root = document.getElementById("root");
root.replaceChildren();
render(html`<${Shell} routes=${ROUTES} />`, root);
