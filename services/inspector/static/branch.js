// A button that makes a branch: an episode that goes on from the selected step, with the edits in its memory.
// Failure policy: where this inspector may only read, the button says so and asks for nothing; what the server refuses stands
// beside the name, which can then be another one.

import { branchEpisode, getOffers, listOnce } from "./api.js";
import { button, h } from "./dom.js";
import { sayEdit } from "./edits.js";
import { link } from "./format.js";

const LONGEST = 128;  // characters of a name

export class BranchForm {
  constructor(episodeId, signal) {
    Object.assign(this, { episodeId, signal, edits: [] });
    this.name = h("input", { "aria-label": "Name of the branch", class: "name", maxlength: LONGEST, pattern: "[A-Za-z0-9._:\\-]+", required: true, spellcheck: "false" });
    this.make = h("button", { class: "main" }, "Make it");
    this.what = h("p", { class: "note" });
    this.form = h("form", { hidden: true, onsubmit: (event) => { event.preventDefault(); this.send(); } },
      this.what, h("div", { class: "tools" }, this.name, this.make, button("Cancel", () => { this.form.hidden = true; })));
    this.said = h("div", { role: "status", class: "branched" });
    this.open = button("Branch from here", () => this.ask());
    this.note = h("span", { class: "note" });
    this.element = h("div", { class: "branching", hidden: true }, h("div", { class: "tools" }, this.open, this.note), this.form, this.said);
    getOffers().then(({ branches }) => {
      this.open.disabled = !branches;
      this.note.textContent = branches ? "" : "This page may only read: SHELM_INSPECTOR_BRANCHES=true lets it make branches.";
    }, () => {});
  }

  // The branch would begin at this step, with these edits of what is before it.
  about(step, edits) {
    if (step !== this.step) {
      this.form.hidden = true;
      this.said.replaceChildren();
    }
    Object.assign(this, { step, edits });
    this.element.hidden = false;
    this.what.textContent = `A new episode with the steps before ${step} of this one${edits.length ? `, and ${edits.map(sayEdit).join(", ")}` : ", unchanged"}. It is played on by a client.`;
  }

  async ask() {
    this.form.hidden = false;
    this.name.value = this.proposal(new Set());
    this.name.focus();
    const proposed = this.name.value, all = await listOnce(this.signal).catch(() => []);
    if (this.name.value === proposed) this.name.value = this.proposal(new Set(all.map((one) => one.episode_id)));
  }

  // A name that nothing in the list has.
  proposal(taken) {
    for (let i = 1; ; i++) {
      const end = `-branch-${this.step}${i > 1 ? `-${i}` : ""}`, name = this.episodeId.slice(0, LONGEST - end.length) + end;
      if (!taken.has(name)) return name;
    }
  }

  async send() {
    const name = this.name.value.trim();
    this.make.disabled = true;
    try {
      const made = await branchEpisode(this.episodeId, this.step, name, this.edits, this.signal);
      this.form.hidden = true;
      this.said.replaceChildren(h("p", {}, "Made: ", h("a", { href: link(made.episode_id) }, made.episode_id), ". A client goes on with it at step ", String(made.branch.step), "."));
    } catch (error) {
      if (!this.signal.aborted) this.said.replaceChildren(h("p", { class: "problem", role: "alert" }, error.message));
    } finally {
      this.make.disabled = false;
    }
  }
}
