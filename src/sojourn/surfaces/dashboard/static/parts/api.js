// Calls to the API: paths, requests, errors, and hooks that keep a page's data fresh.
import { useCallback, useEffect, useRef, useState } from "../vendor/preact-htm.js";

export const base = document.querySelector('meta[name="base"]').content;

/** An id as one segment of a path. Empty ids, `.`, `..` and those that begin with `~` get a `~`. */
export function segment(id) {
  return encodeURIComponent(/^($|~|\.\.?$)/.test(id) ? `~${id}` : id);
}

/** The id that a segment of a path stands for. */
export function unsegment(text) {
  const id = decodeURIComponent(text);
  return id.startsWith("~") ? id.slice(1) : id;
}

/** path`/apps/${app}/users/${user}`: each value becomes one segment. */
export function path(strings, ...ids) {
  return strings.reduce((built, text, n) => built + segment(ids[n - 1]) + text);
}

/** The path of a page below which all of a user's things are. */
export const userPath = (app, user) => path`/apps/${app}/users/${user}`;

/** `?name=value…` of the values that are set; a list gives a name several times. */
export function queryString(query = {}) {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== undefined && each !== null && each !== "" && each !== false) {
        pairs.append(name, each);
      }
    }
  }
  const text = pairs.toString();
  return text && `?${text}`;
}

/** The address of a call: `url("/me")` is `{base}/v1/me`. */
export const url = (where, query) => `${base}/v1${where}${queryString(query)}`;

/** What went wrong with a call. `problem` is the whole answer (application/problem+json). */
export class ApiError extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `The server answered ${status}.`);
    this.name = "ApiError";
    this.status = status;
    this.problem = problem;
    this.title = problem.title || "";
    /** Nobody knows what is there: the server or the store does not answer. */
    this.outage = status === 0 || status === 502 || status === 503 || status === 504;
    this.retryable = this.outage || status === 429;
  }
}

const signedOut = new Set();

/** Call `listener` whenever the server wants a key. Returns how to stop that. */
export function onSignedOut(listener) {
  signedOut.add(listener);
  return () => signedOut.delete(listener);
}

async function problemOf(response) {
  try {
    const problem = await response.json();
    return problem && typeof problem === "object" ? problem : {};
  } catch {
    return {};
  }
}

/**
 * One request below /v1. Returns {data, etag, status}; `data` is null where there is no JSON.
 * Throws ApiError, or the AbortError of `signal`.
 */
export async function request(method, where, options = {}) {
  const { query, body, ifMatch, ifNoneMatch, idempotencyKey, signal } = options;
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (ifMatch) headers["If-Match"] = ifMatch;
  if (ifNoneMatch) headers["If-None-Match"] = ifNoneMatch;
  if (idempotencyKey) headers["Idempotency-Key"] = idempotencyKey;
  let response;
  try {
    response = await fetch(url(where, query), {
      method,
      headers,
      signal,
      credentials: "same-origin",
      cache: "no-cache",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, {
      title: "No answer",
      detail: "Sojourn's server may be restarting.",
    });
  }
  if (!response.ok) {
    const error = new ApiError(response.status, await problemOf(response));
    if (response.status === 401) for (const listener of signedOut) listener();
    throw error;
  }
  const json = /json/.test(response.headers.get("Content-Type") || "");
  let data = null;
  try {
    if (json && response.status !== 204) data = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { title: "Half an answer", detail: "The answer broke off on its way." });
  }
  return { data, etag: response.headers.get("ETag"), status: response.status };
}

/** The JSON at a path. */
export const get = async (where, query, signal) =>
  (await request("GET", where, { query, signal })).data;

/** Change something: POST, PUT, PATCH or DELETE. An outage is told, never retried here. */
export const send = async (method, where, body, options = {}) =>
  (await request(method, where, { ...options, body })).data;

/** Sign in with a key: the server answers with a cookie that scripts cannot read. */
export async function signIn(key) {
  let response;
  try {
    response = await fetch(`${base}/login`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      credentials: "same-origin",
      body: JSON.stringify({ key }),
    });
  } catch {
    throw new ApiError(0, { detail: "Sojourn's server may be restarting." });
  }
  if (!response.ok) throw new ApiError(response.status, await problemOf(response));
}

export async function signOut() {
  await fetch(`${base}/logout`, { method: "POST", credentials: "same-origin" });
  for (const listener of signedOut) listener();
}

const LONGEST_PAUSE = 15;
const pause = (failures) => Math.min(LONGEST_PAUSE, 2 ** failures);

/**
 * The JSON at a path, kept while it is loaded again: {data, etag, error, loading, reload}.
 * `path` null loads nothing. `every`: seconds between loads. In an outage it tries again by itself,
 * and `data` stays what was last known, beside `error`.
 */
export function useResource(where, query = {}, { every = 0 } = {}) {
  const address = where === null ? null : where + queryString(query);
  const [state, setState] = useState({ address: null, data: null, error: null });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (address === null) return undefined;
    const stop = new AbortController();
    let timer = 0;
    let failures = 0;
    let due = true;
    async function load() {
      clearTimeout(timer);
      due = false;
      let next = every;
      try {
        const { data, etag } = await request("GET", address, { signal: stop.signal });
        failures = 0;
        setState({ address, data, etag, error: null });
      } catch (error) {
        if (stop.signal.aborted) return;
        setState((old) => ({ ...(old.address === address ? old : { data: null }), address, error }));
        next = error.retryable ? pause(failures++) : 0;
      }
      if (next && !stop.signal.aborted) timer = setTimeout(() => ((due = true), wake()), next * 1000);
    }
    // A page that nobody sees asks nothing; when it is seen again, it asks at once.
    const wake = () => due && !document.hidden && load();
    document.addEventListener("visibilitychange", wake);
    load();
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", wake);
    };
  }, [address, turn, every]);
  const current = state.address === address ? state : { data: null, error: null };
  return {
    data: current.data,
    etag: current.etag,
    error: current.error,
    loading: address !== null && current.data === null && !current.error,
    reload: useCallback(() => setTurn((n) => n + 1), []),
  };
}

/**
 * A list that comes in pages by cursor:
 * {items, stale, more, loadMore, loading, busy, error, partial, reload, first}.
 * `stale`: the items are still those of the address before. `first` is the first page as it came, for what stands beside its items.
 */
export function usePages(where, query = {}) {
  const address = where === null ? null : where + queryString(query);
  const fresh = { address, items: [], cursor: null, first: null, busy: false, error: null };
  const [state, setState] = useState({ ...fresh, address: null });
  const [turn, setTurn] = useState(0);
  const stop = useRef(null);
  const load = useCallback(
    async (cursor) => {
      stop.current?.abort();
      const mine = new AbortController();
      stop.current = mine;
      // What stood there stays, marked, until the answer is there.
      setState((old) => ({ ...old, asked: address, busy: true, error: null }));
      let failures = 0;
      while (!mine.signal.aborted) {
        try {
          const joined = cursor ? (address.includes("?") ? "&" : "?") + new URLSearchParams({ cursor }) : "";
          const page = await get(address + joined, undefined, mine.signal);
          setState((old) => ({
            address,
            items: cursor ? [...old.items, ...page.items] : page.items,
            cursor: page.cursor ?? null,
            partial: Boolean(page.partial),
            first: cursor ? old.first : page,
            busy: false,
            error: null,
          }));
          return;
        } catch (error) {
          if (mine.signal.aborted) return;
          setState((old) => ({ ...(old.address === address ? old : fresh), busy: false, error }));
          if (!error.retryable) return;
          await new Promise((wake) => setTimeout(wake, pause(failures++) * 1000));
        }
      }
    },
    [address],
  );
  useEffect(() => {
    if (address === null) return undefined;
    load(null);
    return () => stop.current?.abort();
  }, [address, turn]);
  const stale = state.address !== null && state.address !== address;
  const current = stale && address === null ? fresh : state;
  return {
    items: current.items,
    stale,
    first: current.first,
    partial: Boolean(current.partial),
    error: current.error,
    more: current.cursor !== null && !stale,
    busy: current.busy,
    loading: address !== null && current.first === null && !current.error,
    loadMore: useCallback(() => current.cursor && !current.busy && load(current.cursor), [
      current.cursor,
      current.busy,
      load,
    ]),
    reload: useCallback(() => setTurn((n) => n + 1), []),
  };
}
