// Text from outside, shown so that it cannot deceive: what is invisible or reorders gets a name.

// C0 and C1 controls (not tab and newline), zero-width and bidirectional marks, BOM, tags.
const HIDDEN =
  // eslint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]|\udb40[\udc00-\udc7f]/g;

function named(character) {
  const code = character.codePointAt(0);
  if (code === 0x0d) return "␍";
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "␡";
  return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
}

/** The text with controls and invisible characters made visible. CRLF counts as a newline. */
export const visible = (text) => String(text).replaceAll("\r\n", "\n").replace(HIDDEN, named);

/** The text in one line, at most `length` characters, its end marked when it is cut. */
export function short(text, length = 120) {
  const start = String(text).slice(0, length + 1);
  const cut = start.length > length ? `${start.slice(0, length)}…` : start;
  return visible(cut.replace(/\s+/g, " ").trim());
}
