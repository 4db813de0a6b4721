// Times, durations and numbers as people read them.
import { html, useEffect, useState } from "../vendor/preact-htm.js";

const STEPS = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const whole = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** "3 min. ago", "in 2 days", "now". */
export function ago(seconds, now = Date.now() / 1000) {
  const past = seconds - now;
  for (const [unit, length] of STEPS) {
    if (Math.abs(past) >= length) return relative.format(Math.trunc(past / length), unit);
  }
  return Math.abs(past) < 10 ? "now" : relative.format(Math.trunc(past), "second");
}

/** "2026-11-30 04:12:07" in the reader's own time zone. */
export function exact(seconds, { millis = false } = {}) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return String(seconds);
  const pad = (n, width = 2) => String(n).padStart(width, "0");
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  const time = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  return `${day} ${time}${millis ? `.${pad(date.getMilliseconds(), 3)}` : ""}`;
}

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

// One clock for all times on the page.
const waiting = new Set();
setInterval(() => {
  if (!document.hidden) for (const render of waiting) render((n) => n + 1);
}, 20_000);

/** A time in words, its exact form in the title. `time`: seconds since the epoch, or null. */
export function Ago({ time, none = "–" }) {
  const [, render] = useState(0);
  useEffect(() => {
    waiting.add(render);
    return () => waiting.delete(render);
  }, []);
  if (time === null || time === undefined || time === 0) return none;
  const date = new Date(time * 1000);
  const iso = Number.isNaN(date.getTime()) ? undefined : date.toISOString();
  return html`<time datetime=${iso} title=${`${exact(time, { millis: true })} ${zone}`}>${ago(time)}</time>`;
}

/** "12 ms", "3.4 s", "2 m 5 s", "3 h 2 m", "4 d 1 h". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 0.0095) return `${(seconds * 1000).toPrecision(2)} ms`;
  if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const pairs = [
    [86_400, 3600, "d", "h"],
    [3600, 60, "h", "m"],
    [60, 1, "m", "s"],
  ];
  const [large, small, l, s] = pairs.find(([size]) => seconds >= size) || pairs[2];
  const rest = Math.floor((seconds % large) / small);
  return `${Math.floor(seconds / large)} ${l}${rest ? ` ${rest} ${s}` : ""}`;
}

/** "512 B", "1.4 kB", "2.0 MB". */
export function bytes(count) {
  if (count === null || count === undefined) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let n = 0;
  let size = count;
  while (size >= 1000 && n < units.length - 1) {
    size /= 1000;
    n += 1;
  }
  return `${n ? size.toFixed(size < 10 ? 1 : 0) : size} ${units[n]}`;
}

/** "12,345", and "1.2M" when `brief`. */
export function number(count, { brief = false } = {}) {
  if (count === null || count === undefined) return "–";
  return (brief && Math.abs(count) >= 10_000 ? compact : whole).format(count);
}
