// The frame around every page: navigation, breadcrumbs, sign-in, theme, help and messages.
import { Component, html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { ApiError, get, onSignedOut, path, signIn, signOut, userPath } from "./api.js";
import { Dialog } from "./dialog.js";
import { KeysHelp, useKeys } from "./keys.js";
import { Me } from "./me.js";
import { href, match, navigate, useLocation } from "./router.js";
import { Empty, Failure, Loading } from "./states.js";
import { short, visible } from "./text.js";
import { Toasts, toast } from "./toasts.js";

const NAVIGATION = [
  ["/", "Overview", "o"],
  ["/apps", "Apps", "a"],
  ["/cache", "Cache", "c"],
  ["/quarantine", "Quarantine", "q", "admin"],
  ["/doctor", "Doctor", "d", "admin"],
];

/** Where a key for one user, or for some apps, may go: to what is theirs. */
const isForAll = (me) => me.user === null && me.apps === null;
const navigation = (me) =>
  NAVIGATION.filter(([to, , , scope]) =>
    isForAll(me) ? !scope || me.scope === scope : to === "/apps",
  );

// Theme: "system", "light" or "dark", kept in this browser.
const THEMES = ["system", "light", "dark"];
const stored = () => {
  try {
    return localStorage.getItem("sojourn-theme");
  } catch {
    return null;
  }
};
function setTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("sojourn-theme", theme);
  } catch {
    // A browser that keeps nothing shows the theme until the page is left.
  }
  dispatchEvent(new Event("themechange"));
}
const firstTheme = THEMES.includes(stored()) ? stored() : "system";
setTheme(firstTheme);

/** The whole page. `routes`: [[pattern, () => import(page)], …]. */
export function Shell({ routes }) {
  const [me, setMe] = useState(null);
  const [failed, setFailed] = useState(null);
  const [wanted, setWanted] = useState(false);
  const [turn, setTurn] = useState(0);
  useEffect(() => onSignedOut(() => { setMe(null); setWanted(true); }), []);
  useEffect(() => {
    let timer = 0;
    let gone = false;
    async function start() {
      try {
        const key = keyOfAddress();
        if (key) await signIn(key);
        const found = await get("/me");
        if (gone) return;
        setMe(found);
        setFailed(null);
        setWanted(false);
      } catch (error) {
        if (gone) return;
        if (error instanceof ApiError && error.status === 401) setWanted(true);
        else {
          setFailed(error);
          if (error.retryable) timer = setTimeout(start, 2000);
        }
      }
    }
    start();
    const pasted = () => location.hash.includes("key=") && start();
    addEventListener("hashchange", pasted);
    return () => {
      removeEventListener("hashchange", pasted);
      gone = true;
      clearTimeout(timer);
    };
  }, [turn]);
  const again = () => setTurn((n) => n + 1);
  if (wanted) return html`<${SignIn} done=${again} />`;
  if (!me) {
    return html`<main class="alone">
      ${failed ? html`<${Failure} error=${failed} retry=${again} />` : html`<${Loading} rows=${3} />`}
    </main>`;
  }
  return html`<${Me.Provider} value=${me}><${Frame} routes=${routes} me=${me} /><//>`;
}

/** The key in `#key=…`, which is taken out of the address at once. */
function keyOfAddress() {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (key) history.replaceState(null, "", location.pathname + location.search);
  return key;
}

function SignIn({ done }) {
  const [key, setKey] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  useEffect(() => {
    document.title = "Sign in · Sojourn";
  }, []);
  async function submit(event) {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await signIn(key);
      done();
    } catch (failed) {
      setError(failed.status === 401 || failed.status === 403 ? "No key like that is known here." : failed.message);
      setBusy(false);
    }
  }
  return html`<main class="alone">
    <form class="card sign-in" onSubmit=${submit}>
      <h1><${Brand} />Sojourn</h1>
      <p class="muted">Enter a key. <code>sojourn serve</code> prints an address with one, and <code>sojourn token</code> makes more.</p>
      <input type="text" name="username" autocomplete="username" value="sojourn" hidden readonly />
      <label class="field">
        <span>Key</span>
        <input
          type="password"
          autocomplete="current-password"
          spellcheck=${false}
          required
          autofocus
          aria-invalid=${error ? "true" : undefined}
          aria-describedby=${error ? "sign-in-error" : undefined}
          value=${key}
          onInput=${(event) => setKey(event.currentTarget.value)}
        />
      </label>
      ${error && html`<p class="error-text" id="sign-in-error" role="alert">${error}</p>`}
      <button type="submit" class="button primary" disabled=${busy}>${busy ? "Signing in…" : "Sign in"}</button>
    </form>
  </main>`;
}

const Brand = () => html`<svg class="brand" viewBox="0 0 24 24" aria-hidden="true">
  <rect width="24" height="24" rx="6" />
  <path d="M16.8 7.2C15.6 6 14 5.5 12 5.5c-2.9 0-4.8 1.3-4.8 3.3 0 4.6 9.6 2.1 9.6 6.5 0 2-2 3.2-4.9 3.2-2 0-3.7-.6-4.9-1.9" />
</svg>`;

function Frame({ routes, me }) {
  const { path: where, query } = useLocation();
  const [theme, choose] = useState(firstTheme);
  const [help, setHelp] = useState(false);
  const main = useRef(null);
  const nextTheme = () => {
    const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    setTheme(next);
    choose(next);
  };
  useKeys({
    "?": ["Show the shortcuts", () => setHelp(true)],
    "/": ["Search", () => document.querySelector('main input[type="search"]')?.focus()],
    t: ["Change between light and dark", nextTheme],
    ...Object.fromEntries(navigation(me).map(([to, label, key]) => [`g ${key}`, [`Go to ${label}`, () => navigate(to)]])),
  });
  const elsewhere = where === "/" && !isForAll(me);
  useEffect(() => {
    if (elsewhere) navigate("/apps", { replace: true });
  }, [elsewhere]);
  const first = useRef(true);
  useEffect(() => {
    if (!first.current) main.current.focus({ preventScroll: true });
    first.current = false;
  }, [where]);
  return html`<a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); main.current.focus(); }}>Skip to the content</a>
    <div class="frame">
      <header class="side">
        <a class="name" href=${href("/")}><${Brand} /><span>Sojourn</span></a>
        <nav aria-label="Main">
          ${navigation(me).map(
            ([to, label]) => html`<a href=${href(to)} aria-current=${current(to, where) ? "page" : undefined}>${label}</a>`,
          )}
        </nav>
        <div class="side-foot">
          <p class="store" title=${visible(me.where || "")}>
            ${me.read_only && html`<span class="badge">read only</span>`}
            <span class="muted small">${short(me.where || "", 60)}</span>
          </p>
          <p class="muted small who">${short(me.name || "", 40)} · ${me.scope}</p>
          <div class="side-buttons">
            <button type="button" class="icon-button" onClick=${nextTheme} aria-label=${`Theme: ${theme}. Change it`} title=${`Theme: ${theme} (t)`}>
              ${{ system: "◐", light: "○", dark: "●" }[theme]}
            </button>
            <button type="button" class="icon-button" onClick=${() => setHelp(true)} aria-label="Keyboard shortcuts" title="Keyboard shortcuts (?)">?</button>
            <button type="button" class="link" onClick=${() => signOut().catch((error) => toast(error.message, "error"))}>Sign out</button>
          </div>
        </div>
      </header>
      <main id="main" ref=${main} tabindex="-1">
        <${Crumbs} where=${where} />
        ${!elsewhere && html`<${Route} routes=${routes} where=${where} query=${query} />`}
      </main>
    </div>
    ${help && html`<${Dialog} title="Keyboard shortcuts" onClose=${() => setHelp(false)}><${KeysHelp} /><//>`}
    <${Toasts} />`;
}

const current = (to, where) => (to === "/" ? where === "/" : `${where}/`.startsWith(`${to}/`));

const BELOW = { memory: "Memory", artifacts: "Artifacts", threads: "Threads", quarantine: "Quarantine" };

/** Where this page stands: Apps › app › user › session. */
function Crumbs({ where }) {
  const crumbs = [];
  const [, app, , user, , last] = where.slice(1).split("/").map((part) => part);
  const found = match("/apps/:app", `/apps/${app ?? ""}`);
  if (!found || !where.startsWith("/apps/")) return null;
  crumbs.push(["Apps", "/apps"], [found.app, path`/apps/${found.app}`]);
  const parts = where.slice(1).split("/");
  if (user !== undefined) {
    const at = match("/apps/:app/users/:user", parts.slice(0, 4).reduce((all, part) => `${all}/${part}`, ""));
    if (at) {
      const below = userPath(at.app, at.user);
      crumbs.push([at.user || "(empty)", below]);
      const room = parts[4];
      if (BELOW[room]) crumbs.push([BELOW[room], `${below}/${room}`]);
      if (last !== undefined) {
        const named = match("/:room/:id", `/${room}/${last}`);
        if (named) crumbs.push([named.id, where]);
      }
    }
  }
  return html`<nav class="crumbs" aria-label="Breadcrumbs">
    <ol>
      ${crumbs.map(
        ([label, to], n) => html`<li>
          ${n === crumbs.length - 1
            ? html`<span aria-current="page" title=${visible(label)}>${short(label, 60)}</span>`
            : html`<a href=${href(to)} title=${visible(label)}>${short(label, 40)}</a>`}
        </li>`,
      )}
    </ol>
  </nav>`;
}

const loaded = new Map();

/** The page of the path: loaded once, shown with `params` and `query`. */
function Route({ routes, where, query }) {
  const [, render] = useState(0);
  const [failed, setFailed] = useState(null);
  let params = null;
  const route = routes.find(([pattern]) => (params = match(pattern, where)));
  const load = route?.[1];
  const page = load && loaded.get(load);
  useEffect(() => {
    if (!load || loaded.has(load)) return undefined;
    setFailed(null);
    let timer = 0;
    // A browser may remember that a module failed, so the whole page starts again.
    const startAgain = () => {
      timer = setTimeout(() => get("/me").then(() => location.reload(), startAgain), 2000);
    };
    load().then(
      (module) => {
        loaded.set(load, module);
        render((n) => n + 1);
      },
      () => {
        setFailed(new ApiError(0, { title: "No answer", detail: "Sojourn's server may be restarting." }));
        startAgain();
      },
    );
    return () => clearTimeout(timer);
  }, [load]);
  useEffect(() => {
    const title = typeof page?.title === "function" ? page.title(params) : page?.title;
    document.title = title ? `${short(title, 80)} · Sojourn` : "Sojourn";
  });
  if (!route) return html`<${Empty} title="There is no such page"><a href=${href("/")}>Go to the overview</a><//>`;
  if (failed) return html`<${Failure} error=${failed} retry=${() => location.reload()} />`;
  if (!page) return html`<${Loading} rows=${6} />`;
  return html`<${Guarded} key=${where}><${page.Page} params=${params} query=${query} /><//>`;
}

/** A mistake in a page shows as one, and the frame stays. */
class Guarded extends Component {
  componentDidCatch(error) {
    console.error(error);
    this.setState({ error });
  }

  render({ children }, { error }) {
    if (!error) return children;
    return html`<${Failure}
      error=${new ApiError(-1, { title: "This page has a mistake", detail: String(error.message) })}
      retry=${() => this.setState({ error: null })}
    />`;
  }
}
