// Parts of a transcript: what was said and done. All of it is text; nothing is ever markup.
import { html, useEffect, useState } from "../vendor/preact-htm.js";
import { Json } from "./json.js";
import { short, visible } from "./text.js";
import { bytes } from "./time.js";

const LONGEST = 4000;
const STEP = 100_000;

/** Text of any length: its beginning first, more of it on demand. */
export function LongText({ text, as = "p" }) {
  const [shown, setShown] = useState(LONGEST);
  const rest = text.length - shown;
  return html`<${as} class="text" dir="auto">${visible(text.slice(0, shown))}${rest > 0 ? "…" : ""}<//>
    ${rest > 0 &&
    html`<button type="button" class="link small" onClick=${() => setShown(shown + STEP)}>
      ${rest.toLocaleString("en")} more characters
    </button>`}`;
}

const PICTURES = /^image\/(png|jpeg|gif|webp|avif)$/;
const SOUNDS = /^audio\/(wav|x-wav|mpeg|mp3|mp4|aac|ogg|opus|webm|flac)$/;
const LARGEST = 32 * 1024 * 1024;

function decoded(data, mime) {
  const text = atob(data.replaceAll("-", "+").replaceAll("_", "/"));
  return new Blob([Uint8Array.from(text, (character) => character.charCodeAt(0))], { type: mime });
}

/** A picture or sound in the page, a file as a download; never anything that could run. */
export function Media({ part }) {
  const mime = part.mime.toLowerCase().split(";")[0].trim();
  const [url, setUrl] = useState("");
  const [wrong, setWrong] = useState("");
  const size = part.data ? Math.floor((part.data.length * 3) / 4) : 0;
  useEffect(() => {
    if (!part.data) return undefined;
    if (size > LARGEST) return setWrong("too large to show") ?? undefined;
    let made = "";
    try {
      const safe = PICTURES.test(mime) || SOUNDS.test(mime);
      made = URL.createObjectURL(decoded(part.data, safe ? mime : "application/octet-stream"));
      setUrl(made);
    } catch {
      setWrong("no valid base64");
    }
    return () => URL.revokeObjectURL(made);
  }, [part.data, mime]);
  const name = part.name || mime;
  const about = html`<span class="muted small">${visible(short(name, 80))}${size ? ` · ${bytes(size)}` : ""}${wrong && ` · ${wrong}`}</span>`;
  if (!part.data) {
    return html`<p class="t-file">${about} <span class="id">${short(part.url || "", 200)}</span></p>`;
  }
  if (url && PICTURES.test(mime)) {
    return html`<figure class="t-media"><img src=${url} alt=${visible(short(name, 80))} onError=${() => setWrong("cannot be shown")} /><figcaption>${about}</figcaption></figure>`;
  }
  if (url && SOUNDS.test(mime)) {
    return html`<figure class="t-media"><audio controls src=${url} aria-label=${visible(short(name, 80))}></audio><figcaption>${about}</figcaption></figure>`;
  }
  return html`<p class="t-file">${about} ${url && html`<a class="link" href=${url} download=${`${short(part.name, 60) || "file"}.bin`}>Download</a>`}</p>`;
}

/** A value in one line, for what is folded. */
export function brief(value, length = 90) {
  if (typeof value === "string") return short(value, length);
  let text;
  try {
    text = JSON.stringify(value, (_, each) => (typeof each === "string" && each.length > length ? `${each.slice(0, length)}…` : each));
  } catch {
    text = "…";
  }
  return short((text ?? "").slice(0, 40 * length), length);
}

function Fold({ mark, label, name, value, tone = "", open, onToggle }) {
  return html`<details class=${`t-fold ${tone}`} open=${open} onToggle=${(event) => onToggle?.(event.currentTarget.open)}>
    <summary>
      <span class="t-mark" aria-hidden="true">${mark}</span><span class="hidden">${label} </span
      ><span class="t-name">${short(name || "(no name)", 80)}</span> <span class="t-brief">${brief(value)}</span>
    </summary>
    ${open && html`<div class="t-inside">${typeof value === "string" ? html`<${LongText} text=${value} />` : html`<${Json} value=${value} open=${2} />`}</div>`}
  </details>`;
}

/** One part; `open` and `onToggle` are those of a part that folds. */
export function Part({ part, open = false, onToggle }) {
  switch (part.type) {
    case "text":
      return html`<${LongText} text=${part.text} />`;
    case "thought":
      return html`<details class="t-fold t-thought" open=${open} onToggle=${(event) => onToggle?.(event.currentTarget.open)}>
        <summary><span class="t-mark" aria-hidden="true">…</span><span class="t-name">Thought</span> <span class="t-brief">${short(part.text, 110)}</span></summary>
        ${open && html`<div class="t-inside"><${LongText} text=${part.text} /></div>`}
      </details>`;
    case "call":
      return html`<${Fold} mark="→" label="Call of" name=${part.name} value=${part.arguments} open=${open} onToggle=${onToggle} />`;
    case "result":
      return html`<${Fold} mark="←" label=${part.error ? "Failed:" : "Result of"} name=${part.name} value=${part.value} tone=${part.error ? "bad" : ""} open=${open} onToggle=${onToggle} />`;
    case "media":
      return html`<${Media} part=${part} />`;
    case "code":
      return html`<figure class="t-code"><figcaption class="muted small">${short(part.language || "code", 40)}</figcaption><${LongText} text=${part.text} as="pre" /></figure>`;
    case "notice":
      return html`<p class=${`t-notice ${part.level === "error" ? "bad-text" : ""}`}>${visible(part.text)}</p>`;
    case "json":
      return html`<${Json} value=${part.value} open=${1} />`;
    default:
      return html`<${Json} value=${part} open=${1} />`;
  }
}

/** The parts of one message, whose folds remember themselves. */
export function Parts({ parts }) {
  const [open, setOpen] = useState({});
  return parts.map((part, n) => html`<${Part} key=${n} part=${part} open=${Boolean(open[n])} onToggle=${(now) => setOpen((old) => ({ ...old, [n]: now }))} />`);
}
