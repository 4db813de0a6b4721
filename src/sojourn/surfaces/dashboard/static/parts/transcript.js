// Parts of a transcript.
import { html } from "../vendor/preact-htm.js";
import { Json } from "./json.js";
import { visible } from "./text.js";

/** The parts of one message. */
export const Parts = ({ parts }) =>
  parts.map((part) =>
    part.type === "text" || part.type === "thought" || part.type === "notice"
      ? html`<p class="text">${visible(part.text)}</p>`
      : html`<${Json} value=${part} open=${2} />`,
  );
