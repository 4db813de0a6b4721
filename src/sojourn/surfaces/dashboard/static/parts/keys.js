// Keyboard shortcuts: pages say which they have, `?` shows them all.
import { html, useLayoutEffect, useRef } from "../vendor/preact-htm.js";

const layers = new Set();
let prefix = "";
let prefixTimer = 0;

const typing = (target) =>
  target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName || "");

function find(key) {
  for (const layer of [...layers].reverse()) if (layer.current[key]) return layer.current[key];
  return null;
}

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Escape" && typing(event.target)) event.target.blur();
  else if (typing(event.target)) return;
  const key = prefix + event.key;
  clearTimeout(prefixTimer);
  prefix = "";
  const shortcut = find(key);
  if (shortcut) {
    event.preventDefault();
    shortcut[1](event);
  } else if (key === "g") {
    prefix = "g ";
    prefixTimer = setTimeout(() => (prefix = ""), 1200);
  }
});

/**
 * Shortcuts while a component is shown: useKeys({ r: ["Show raw JSON", fn], "g o": [...] }).
 * A key is `event.key`, or `g ` and one. Later components win over earlier ones.
 */
export function useKeys(shortcuts) {
  const layer = useRef(shortcuts);
  layer.current = shortcuts;
  useLayoutEffect(() => {
    layers.add(layer);
    return () => layers.delete(layer);
  }, []);
}

const NAMES = { ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", " ": "Space" };

/** All shortcuts that work now. */
export function KeysHelp() {
  const known = {};
  for (const layer of layers) Object.assign(known, layer.current);
  return html`<dl class="keys">
    ${Object.entries(known).map(
      ([key, [text]]) => html`<div>
        <dt>${key.trim() === "" ? html`<kbd>Space</kbd>` : key.split(" ").map((each) => html`<kbd>${NAMES[each] || each}</kbd>`)}</dt>
        <dd>${text}</dd>
      </div>`,
    )}
  </dl>`;
}
