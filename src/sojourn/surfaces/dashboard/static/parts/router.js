// Paths of pages: matching, links without a reload, and the query string as the home of filters.
import { useEffect, useState } from "../vendor/preact-htm.js";
import { base, queryString, unsegment } from "./api.js";

const listeners = new Set();

/** The address of a page for `href`: `href("/doctor")` is `{base}/doctor`. */
export const href = (where, query) => `${base}${where}${queryString(query)}`;

function told() {
  for (const listener of listeners) listener();
}

/** Go to a page, with a place in the history unless `replace`. */
export function navigate(where, { query, replace = false } = {}) {
  const target = href(where, query);
  if (target === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", target);
  if (!replace) scrollTo(0, 0);
  told();
}

/** Change some of the filters in the address; undefined or "" takes one out. */
export function setQuery(changes, { replace = true } = {}) {
  const query = { ...currentQuery(), ...changes };
  navigate(currentPath(), { query, replace });
}

/** The path of the page that is shown, without the base. */
export const currentPath = () => location.pathname.slice(base.length) || "/";

/** The query of the page that is shown; a name that is there several times gives a list. */
export function currentQuery() {
  const query = {};
  const pairs = new URLSearchParams(location.search);
  for (const name of new Set(pairs.keys())) {
    const values = pairs.getAll(name);
    query[name] = values.length > 1 ? values : values[0];
  }
  return query;
}

/** {path, query} of the page that is shown; renders again when they change. */
export function useLocation() {
  const [, render] = useState(0);
  useEffect(() => {
    const listener = () => render((n) => n + 1);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, []);
  return { path: currentPath(), query: currentQuery() };
}

/** The parameters of `where` if it has the form of `pattern` (`/apps/:app`), else null. */
export function match(pattern, where) {
  const names = pattern.split("/").filter(Boolean);
  const parts = where.split("/").filter(Boolean);
  if (names.length !== parts.length) return null;
  const params = {};
  for (const [n, name] of names.entries()) {
    if (!name.startsWith(":")) {
      if (name !== parts[n]) return null;
      continue;
    }
    try {
      params[name.slice(1)] = unsegment(parts[n]);
    } catch {
      return null;
    }
  }
  return params;
}

addEventListener("popstate", told);

// A plain <a href> of a page of ours changes the page without a reload.
addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey) return;
  if (event.shiftKey || event.altKey) return;
  const link = event.target.closest?.("a[href]");
  if (!link || link.target || link.hasAttribute("download")) return;
  const to = new URL(link.href);
  const ours = to.origin === location.origin && `${to.pathname}/`.startsWith(`${base}/`);
  const below = to.pathname.slice(base.length);
  if (!ours || /^\/(v1|static|healthz)\b/.test(below)) return;
  if (to.hash && to.pathname === location.pathname && to.search === location.search) return;
  event.preventDefault();
  navigate(below || "/", { query: Object.fromEntries(groups(to.searchParams)) });
});

function groups(pairs) {
  return [...new Set(pairs.keys())].map((name) => [name, pairs.getAll(name)]);
}
