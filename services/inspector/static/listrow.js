// One episode as a row of the list.

import { h } from "./dom.js";
import { SILENT, action, age, agentLink, link, outcome, reward, state, words } from "./format.js";
import { sparkline } from "./sparkline.js";

// kind: the class of the column's cells; those of class "more" are not shown on a phone.
export const COLUMNS = [
  { name: "Choose", kind: "pick" }, { name: "Frame", kind: "thumb" }, { name: "Episode", kind: "name", sort: "name" }, { name: "Steps", kind: "steps", sort: "steps" },
  { name: "Reward", kind: "reward", sort: "reward" }, { name: "Outcome", kind: "outcome", sort: "outcome" }, { name: "Value", kind: "curve more" },
  { name: "Agent", kind: "agent more", sort: "agent" }, { name: "Age", kind: "age more", sort: "age" },
  { name: "Last heard of", kind: "heard more", sort: "heard" }, { name: "Last words", kind: "words more" },
];

export class ListRow {
  constructor({ episode_id: id }, spaces, picked, pick) {
    this.spaces = spaces;
    this.box = h("input", { type: "checkbox", "aria-label": `Choose ${id}`, onchange: () => pick(this.box.checked) });
    this.box.checked = picked;
    this.cells = Object.fromEntries(COLUMNS.map(({ kind }) => [kind.split(" ")[0], h(kind === "name" ? "th" : "td", { class: kind, scope: kind === "name" ? "row" : null })]));
    this.cells.pick.append(this.box);
    this.cells.name.append(h("a", { href: link(id) }, id));
    this.image = h("img", { alt: "", width: 36, height: 36, hidden: true });
    this.cells.thumb.append(this.image);
    this.element = h("tr", {}, Object.values(this.cells));
  }

  clear() { this.box.checked = false; }

  fill(one, known) {
    const quiet = Date.now() - one.update_time, silent = !one.ended && quiet > SILENT;
    const result = outcome(one);
    this.element.className = result;
    const status = one.ended ? (result === "unknown" ? "ended" : result) : silent ? "silent" : state(one), since = silent ? ` ${age(quiet)}` : "";
    if (this.status !== status + since) {
      this.status = status + since;
      this.cells.outcome.replaceChildren(h("span", { class: `badge ${silent ? "silent" : result}`, title: silent ? `running, last heard of ${age(quiet)} ago` : null },
        status, since && h("span", { class: "since" }, since)));
    }
    this.text("steps", one.committed_step === null ? 0 : one.committed_step + 1);
    this.text("reward", reward(one));
    if (!this.cells.agent.firstChild) this.cells.agent.append(h("a", { href: agentLink(one.agent_digest) }, one.agent));
    this.text("age", age(Date.now() - one.create_time));
    this.text("heard", `${age(quiet)} ago`);
    if (!known?.last || this.drawn === known.last) { this.show(known?.url); return; }
    this.drawn = known.last;
    const done = action(known.last.action, this.spaces.get(one.agent_digest));
    this.text("words", known.last.tokens.length ? `${words(known.last)} → ${done}` : done);
    this.cells.curve.replaceChildren(sparkline(known.values, `value at ${known.values.length} of the last steps`));
    this.show(known.url);
  }

  show(url) {
    if (!url || this.image.src === url) return;
    this.image.src = url;
    this.image.hidden = false;
  }

  text(kind, value) {
    if (this.cells[kind].textContent !== String(value)) this.cells[kind].textContent = value;
  }
}
