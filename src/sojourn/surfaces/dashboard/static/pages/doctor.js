// Doctor: what to change at the server before people rely on it.
import { html, useState } from "../vendor/preact-htm.js";
import { useResource } from "../parts/api.js";
import { setQuery } from "../parts/router.js";
import { Empty, Loaded } from "../parts/states.js";
import { short, visible } from "../parts/text.js";

export const title = "Doctor";

/** The gravest first: how a level is named, marked and coloured. */
const LEVELS = [
  ["problem", "Problems", "✗", "bad"],
  ["warning", "Warnings", "!", "warn"],
  ["advice", "Advice", "•", "accent"],
  ["unknown", "Not checked", "?", ""],
  ["ok", "In order", "✓", "good"],
];

export function Page({ query }) {
  const report = useResource("/doctor");
  const [asked, setAsked] = useState(null);
  const again = () => {
    setAsked(report.data);
    report.reload();
  };
  const busy = report.loading || (asked !== null && asked === report.data && !report.error);
  return html`<div class="page-head">
      <h1>Doctor</h1>
      <div class="actions"><button type="button" class="button" disabled=${busy} onClick=${again}>${busy ? "Checking…" : "Check again"}</button></div>
    </div>
    <${Loaded} resource=${report} rows=${8}>
      ${(data) => html`<${Report} report=${data} level=${query.level} />`}
    <//>`;
}

function Report({ report, level }) {
  const { where, findings } = report;
  const count = (name) => findings.filter((each) => each.level === name).length;
  const shown = findings.filter((each) => !level || each.level === level);
  const nodes = [...new Set(shown.map(({ node }) => node))];
  return html`<p class=${`verdict ${report.healthy ? "good-text" : "warn-text"}`} role="status">
      ${report.healthy ? "Nothing has to be changed." : "Something should be changed before people rely on it."}
      <span class="muted"> ${short(where, 80)}</span>
    </p>
    <div class="filters" role="group" aria-label="Level">
      <button type="button" class="button" aria-pressed=${String(!level)} onClick=${() => setQuery({ level: undefined })}>All ${findings.length}</button>
      ${LEVELS.filter(([name]) => count(name)).map(
        ([name, label, mark, tone]) => html`<button type="button" class="button" aria-pressed=${String(level === name)} onClick=${() => setQuery({ level: level === name ? undefined : name })}>
          <span class=${`mark ${tone}`} aria-hidden="true">${mark}</span>${label} ${count(name)}
        </button>`,
      )}
    </div>
    ${!shown.length && html`<${Empty} title="Nothing of this level" />`}
    ${nodes.map((node) => html`<${Node} key=${node} node=${node} findings=${shown.filter((each) => each.node === node)} />`)}`;
}

function Node({ node, findings }) {
  const order = LEVELS.map(([name]) => name);
  const groups = [...new Set(findings.map(({ group }) => group))];
  return html`${node && html`<h2 class="id node">${visible(node)}</h2>`}
    <div class="findings">
      ${groups.map((group) => {
        const those = findings
          .filter((each) => each.group === group)
          .sort((a, b) => order.indexOf(a.level) - order.indexOf(b.level));
        return html`<section class="card" key=${group} aria-label=${group}>
          <h2>${visible(group)}</h2>
          <ul class="rows">
            ${those.map((each) => html`<${Finding} key=${each.check} finding=${each} />`)}
          </ul>
        </section>`;
      })}
    </div>`;
}

/** A sentence; what stands between backquotes in it is a command or a setting. */
const sentence = (text) => text.split("`").map((part, n) => (n % 2 ? html`<code>${visible(part)}</code>` : visible(part)));

function Finding({ finding }) {
  const { check, level, what, todo } = finding;
  const [, label, mark, tone] = LEVELS.find(([name]) => name === level) || [level, level, "?", ""];
  return html`<li class="finding">
    <span class=${`mark ${tone}`} title=${label} role="img" aria-label=${level}>${mark}</span>
    <div>
      <p><strong>${visible(check)}</strong> <span class=${level === "ok" ? "muted" : ""}>${sentence(what)}</span></p>
      ${todo && html`<p class="todo">${sentence(todo)}</p>`}
    </div>
  </li>`;
}
