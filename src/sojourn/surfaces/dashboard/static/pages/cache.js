// Cache: what this process was asked for and had, and results that are to be forgotten.
import { html, useState } from "../vendor/preact-htm.js";
import { send, useResource, userPath } from "../parts/api.js";
import { useMay } from "../parts/me.js";
import { Failure, Loaded } from "../parts/states.js";
import { visible } from "../parts/text.js";
import { bytes, number } from "../parts/time.js";
import { toast } from "../parts/toasts.js";

export const title = "Cache";

const SECONDS = 5;

const FIGURES = [
  ["hits", "Hits", "fresh values given"],
  ["stale", "Stale", "past their time, while another is computed"],
  ["misses", "Misses", "there was none"],
  ["waits", "Waits", "for what another computes"],
  ["computed", "Computed", "by this process"],
  ["unavailable", "No server", "computed for one call alone"],
];

export function Page() {
  const cache = useResource("/cache", {}, { every: SECONDS });
  const may = useMay("write");
  return html`<h1>Cache</h1>
    <p class="muted lead">Figures of this server process since it started. Agents count their own.</p>
    <${Loaded} resource=${cache} rows=${3}>
      ${(data) => html`<${Figures} data=${data} />`}
    <//>
    ${may && html`<div class="grid"><${Invalidate} /></div>`}`;
}

function Figures({ data }) {
  const asked = data.hits + data.stale + data.misses;
  const near = data.near_cache;
  return html`<h2 class="figures-head">Results of expensive steps</h2>
    <dl class="figures flow">
      <div><dt>Hit rate</dt><dd>${asked ? `${(100 * data.hit_rate).toFixed(1)} %` : "–"}</dd><dd class="note">of ${number(asked)} questions</dd></div>
      ${FIGURES.map(([name, label, note]) => html`<div key=${name}><dt>${label}</dt><dd>${number(data[name])}</dd><dd class="note">${note}</dd></div>`)}
    </dl>
    ${near &&
    html`<h2 class="figures-head">Events kept in this process</h2>
      <dl class="figures flow">
        ${Object.entries(near).map(
          ([name, value]) => html`<div key=${name}>
            <dt>${words(name)}</dt>
            <dd>${typeof value !== "number" ? visible(String(value)) : /size|limit/.test(name) ? bytes(value) : number(value)}</dd>
          </div>`,
        )}
      </dl>`}`;
}

/** `hit_rate` as "Hit rate". */
const words = (name) => visible(name.replaceAll("_", " ").replace(/^./, (first) => first.toUpperCase()));

function Invalidate() {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(null);
  async function submit(event) {
    event.preventDefault();
    const form = event.currentTarget;
    const of = (name) => form.elements[name].value;
    setBusy(true);
    setError(null);
    try {
      await send("POST", `${userPath(of("app"), of("user"))}/cache/invalidate`, { tag: of("tag") });
      toast("What has this tag counts as missing now.");
      form.reset();
    } catch (failed) {
      setError(failed);
    }
    setBusy(false);
  }
  return html`<section class="card" aria-label="Invalidate a tag">
    <h2>Invalidate a tag of a user</h2>
    <p class="muted">All results with the tag count as missing, also those that are being computed now.</p>
    <form class="stack after" onSubmit=${submit}>
      <label class="field"><span>App</span><input name="app" required spellcheck=${false} autocomplete="off" /></label>
      <label class="field"><span>User</span><input name="user" spellcheck=${false} autocomplete="off" /></label>
      <label class="field"><span>Tag</span><input name="tag" required spellcheck=${false} autocomplete="off" /></label>
      <${Failure} error=${error} />
      <p><button type="submit" class="button" disabled=${busy}>${busy ? "Invalidating…" : "Invalidate"}</button></p>
    </form>
  </section>`;
}
