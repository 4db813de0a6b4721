// Short messages that come and go by themselves.
import { html, useEffect, useState } from "../vendor/preact-htm.js";

let show = () => {};
let count = 0;
const SECONDS = 6;

/** Say something in the corner: `toast("Deleted.")`, `toast(error.message, "error")`. */
export const toast = (text, kind = "info") => show({ text, kind, id: ++count });

/** The corner. The shell has it once. */
export function Toasts() {
  const [shown, setShown] = useState([]);
  useEffect(() => {
    show = (one) => {
      setShown((all) => [...all.slice(-3), one]);
      setTimeout(() => setShown((all) => all.filter(({ id }) => id !== one.id)), SECONDS * 1000);
    };
  }, []);
  return html`<div class="toasts" role="status" aria-live="polite">
    ${shown.map(({ text, kind, id }) => html`<div key=${id} class=${`toast ${kind}`}>${text}</div>`)}
  </div>`;
}
