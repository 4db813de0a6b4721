// Confirmation of what cannot be taken back: the name must be typed.
import { html, useState } from "../vendor/preact-htm.js";
import { Dialog } from "./dialog.js";
import { Failure } from "./states.js";
import { visible } from "./text.js";

/**
 * A dialog that does `act` (a function that returns a promise) once `word` was typed.
 * `title`, `text` say what will happen, `action` is the button; `done` is told the result,
 * `onClose` that the dialog is to go. A failure stays in the dialog.
 */
export function Confirm({ title, text, word, action = "Delete", act, done, onClose }) {
  // What cannot be typed (invisible marks, line breaks) is asked for as it is shown.
  const asked = visible(word).replace(/\s+/g, " ").trim() || "empty";
  const [input, setTyped] = useState("");
  const typed = input.trim();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  async function submit(event) {
    event.preventDefault();
    if (typed !== asked || busy) return;
    setBusy(true);
    setError(null);
    try {
      const result = await act();
      onClose?.();
      done?.(result);
    } catch (failed) {
      setError(failed);
      setBusy(false);
    }
  }
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <form onSubmit=${submit}>
      <p>${text}</p>
      <label class="field">
        <span>Type <code class="word">${asked}</code> to confirm</span>
        <input
          type="text"
          autocomplete="off"
          spellcheck=${false}
          autofocus
          value=${input}
          onInput=${(event) => setTyped(event.currentTarget.value)}
        />
      </label>
      <${Failure} error=${error} />
      <footer>
        <button type="button" class="button" onClick=${(event) => event.currentTarget.closest("dialog").close()}>
          Cancel
        </button>
        <button type="submit" class="button danger" disabled=${typed !== asked || busy}>
          ${busy ? "Working…" : action}
        </button>
      </footer>
    </form>
  <//>`;
}

/** A button that asks first: props of Confirm, and `label` for itself. */
export function ConfirmButton({ label, disabled = false, ...confirm }) {
  const [open, setOpen] = useState(false);
  return html`<button type="button" class="button danger-quiet" disabled=${disabled} onClick=${() => setOpen(true)}>
      ${label}
    </button>
    ${open && html`<${Confirm} ...${confirm} onClose=${() => setOpen(false)} />`}`;
}
