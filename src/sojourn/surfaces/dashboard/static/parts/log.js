// The log of a session as a page reads it: parts of it, as they come into view, and its live end.
import { useCallback, useEffect, useReducer, useRef } from "../vendor/preact-htm.js";
import { get, queryString, url } from "./api.js";

const CHUNK = 100;
const MOST_CHUNKS = 80;

/**
 * {start, length, at(seq), want(first, last), failed, incomplete, live, gone, changed, restart}
 * of the log at `where`. `at(seq)` is the item, null where it cannot be read, undefined until it is
 * there. `live` is "on", "off" (tries again) or "never".
 */
export function useLog(where, known) {
  const [, render] = useReducer((n) => n + 1, 0);
  const log = useRef(null);
  if (log.current?.where !== where) {
    log.current = { where, chunks: new Map(), loading: new Set(), start: 1, length: 0, epoch: 0, failed: null, live: "off", gone: false, changed: 0 };
  }
  const mine = log.current;
  if (known && !mine.known) {
    mine.known = true;
    mine.length = known.length;
  }

  const load = useCallback(async (number) => {
    const { epoch, chunks, loading } = mine;
    if (loading.has(number) || mine.gone) return;
    loading.add(number);
    const items = new Map(chunks.get(number)?.items);
    const until = Math.min((number + 1) * CHUNK, mine.length);
    let place = chunks.get(number)?.until ?? number * CHUNK;
    try {
      while (place < until) {
        const page = await get(`${where}/transcript`, { after: place, limit: until - place });
        if (log.current !== mine || epoch !== mine.epoch) return;
        mine.start = page.start;
        mine.length = Math.max(mine.length, page.length);
        for (const item of page.items) items.set(item.seq, item);
        place = page.last === null || page.last <= place ? until : page.last;
      }
      chunks.delete(number);
      chunks.set(number, { items, until });
      while (chunks.size > MOST_CHUNKS) chunks.delete(chunks.keys().next().value);
      mine.failed = null;
    } catch (error) {
      mine.failed = error;
      if (error.retryable && log.current === mine) setTimeout(() => load(number), 2000);
    } finally {
      loading.delete(number);
      render();
    }
  }, [where]);

  const want = useCallback((first, last) => {
    for (let number = Math.floor((first - 1) / CHUNK); number <= Math.floor((last - 1) / CHUNK); number += 1) {
      const until = Math.min((number + 1) * CHUNK, mine.length);
      if (number >= 0 && until > number * CHUNK && (mine.chunks.get(number)?.until ?? -1) < until) load(number);
    }
  }, [where]);

  const restart = useCallback(() => {
    mine.epoch += 1;
    mine.chunks.clear();
    mine.loading.clear();
    render();
  }, [where]);

  const ready = mine.known;
  useEffect(() => {
    if (!ready) return undefined;
    const source = new EventSource(url(`${where}/events/stream`) + queryString({ after: mine.length }));
    let timer = 0;
    // A burst of events is one request.
    const soon = () => {
      timer ||= setTimeout(() => {
        timer = 0;
        want(mine.length, mine.length);
        render();
      }, 60);
    };
    source.onopen = () => {
      mine.live = "on";
      render();
    };
    source.onerror = () => {
      mine.live = source.readyState === EventSource.CLOSED ? "never" : "off";
      render();
    };
    source.addEventListener("append", (event) => {
      const seq = Number(event.lastEventId);
      if (seq > mine.length) mine.length = seq;
      mine.changed += 1;
      soon();
    });
    source.addEventListener("update", (event) => {
      mine.changed += 1;
      let cut = false;
      try {
        cut = Boolean(JSON.parse(event.data).cut);
      } catch {
        cut = true;
      }
      if (cut) restart();
      render();
    });
    source.addEventListener("gone", () => {
      mine.gone = true;
      source.close();
      render();
    });
    return () => {
      clearTimeout(timer);
      source.close();
    };
  }, [where, ready]);

  return {
    start: mine.start,
    length: mine.length,
    failed: mine.failed,
    live: mine.live,
    gone: mine.gone,
    changed: mine.changed,
    ready,
    want,
    restart,
    at: (seq) => {
      const chunk = mine.chunks.get(Math.floor((seq - 1) / CHUNK));
      return chunk && seq <= chunk.until ? (chunk.items.get(seq) ?? null) : undefined;
    },
  };
}
