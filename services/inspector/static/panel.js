// What is said about the selected step: its facts and its distribution over actions, or why it was decided so, or what if its
// memory were another one.
// Contract: one of the three is open; all speak of the selected step.

import { button, h } from "./dom.js";
import { Distribution } from "./distribution.js";
import { drawExplanation, showExplanation } from "./explain.js";
import { WhatIf } from "./whatif.js";

export class Panel {
  // explained(reply or null): what the timeline shall draw. reached(): the steps up to the selected one.
  constructor(episodeId, space, frames, signal, { explained, reached }) {
    Object.assign(this, { episodeId, space, signal, explained, reached, part: null });
    this.replies = new Map();  // step -> ExplainStep's reply
    this.detail = h("p", { class: "detail" });
    this.why = button("Explain this step", () => this.explain(), { "aria-keyshortcuts": "e", class: "main" });
    this.if = button("What if ...", () => this.flip(), { "aria-keyshortcuts": "w" });
    this.hint = h("p", { class: "note" }, h("kbd", {}, "e"), " explains which words decided this step, ", h("kbd", {}, "w"), " asks what other words would have changed.");
    this.explanation = h("div", { class: "explanation", hidden: true });
    this.distribution = new Distribution(episodeId, space, frames, signal);
    this.whatIf = new WhatIf(episodeId, space, signal);
    this.element = h("section", { class: "panel", "aria-label": "The selected step" },
      h("div", { class: "panel-head" }, this.detail, h("div", { class: "tools" }, this.why, this.if)),
      h("div", { class: "panel-body", tabindex: "0", role: "region", "aria-label": "Why, and what if" }, this.hint, this.distribution.element, this.explanation, this.whatIf.element));
  }

  open(part) {
    this.part = part;
    this.hint.hidden = this.distribution.element.hidden = part !== null;
    this.explanation.hidden = part !== "why";
    this.whatIf.element.hidden = part !== "if";
    this.why.setAttribute("aria-pressed", part === "why");
    this.if.setAttribute("aria-pressed", part === "if");
    if (part !== "why") this.explained(null);
    if (part === null) this.distribution.about(this.step, true);
    if (part === "if") this.whatIf.about(this.reached());
    if (part) this.element.scrollIntoView({ block: "nearest" });
  }

  flip() { this.open(this.part === "if" ? null : "if"); }

  // Whether the selected step stays, as in `select`.
  rest(still) { if (!this.distribution.element.hidden) this.distribution.about(this.step, still); }

  // The selected step. still: it stays until somebody selects another one.
  select(step, still) {
    this.step = step;
    this.rest(still);
    if (this.part === "why") {
      const known = this.replies.get(step);
      if (known) drawExplanation(this.explanation, known, this.space);
      else if (this.explanation.dataset.step !== String(step)) this.explanation.replaceChildren(h("p", { class: "note" }, `Step ${step} is not explained yet: press `, h("kbd", {}, "e"), "."));
      this.explained(known ?? null);
    }
    if (this.part === "if") this.whatIf.about(this.reached());
  }

  async explain() {
    const { step } = this;
    if (this.part === "why" && this.replies.has(step)) { this.open(null); return; }
    this.open("why");
    const reply = this.replies.get(step) ?? await showExplanation(this.explanation, this.episodeId, step, this.space, this.signal);
    if (!reply) return;
    this.replies.set(step, reply);
    if (step !== this.step) return;
    this.select(step, true);
    this.element.scrollIntoView({ block: "nearest" });
  }
}
