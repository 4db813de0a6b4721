// A modal dialog: the browser keeps the focus in it and Escape closes it.
import { html, useId, useLayoutEffect, useRef } from "../vendor/preact-htm.js";

/** `title` and what is inside; `onClose` is told when it was closed by Escape or the button. */
export function Dialog({ title, onClose, children, wide = false }) {
  const dialog = useRef(null);
  const id = useId();
  // At once: what is typed next belongs to the dialog.
  useLayoutEffect(() => {
    const before = document.activeElement;
    dialog.current.showModal();
    return () => before?.focus?.();
  }, []);
  return html`<dialog
    ref=${dialog}
    class=${wide ? "wide" : ""}
    aria-labelledby=${id}
    onClose=${onClose}
    onClick=${(event) => event.target === dialog.current && dialog.current.close()}
  >
    <div class="dialog-box">
      <header>
        <h2 id=${id}>${title}</h2>
        <button type="button" class="icon-button" aria-label="Close" onClick=${() => dialog.current.close()}>×</button>
      </header>
      ${children}
    </div>
  </dialog>`;
}
