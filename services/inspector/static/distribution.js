// The distribution that the action of the selected step comes from: computed when a step has been selected for a moment, because
// it is not stored (WhatIf without edits: one run of the memory). What was computed is kept while the page is open.
// Contract: it asks for one step at a time, and for none while the page plays or follows the agent.
// Failure policy: a step without a recorded frame has no distribution; that, and what else is wrong, stands in its place.

import { whatIf } from "./api.js";
import { distributionBars } from "./bars.js";
import { h } from "./dom.js";
import { sentence } from "./explain.js";
import { number } from "./format.js";

const REST = 300;  // ms that a step is selected before it is asked for

export class Distribution {
  // frames: Frames, which know what is recorded.
  constructor(episodeId, space, frames, signal) {
    Object.assign(this, { episodeId, space, frames, signal, asking: false });
    this.known = new Map();  // step -> WhatIf's reply
    this.element = h("div", { class: "distribution" });
    signal.addEventListener("abort", () => clearTimeout(this.timer));
  }

  // still: the step stays selected until somebody selects another one.
  about(step, still) {
    Object.assign(this, { step, still });
    clearTimeout(this.timer);
    const reply = this.known.get(step);
    if (reply) this.draw(reply);
    else if (still) this.timer = setTimeout(() => this.ask(), REST);
    else this.say("Pause to see how probable each action was.");
  }

  async ask() {
    if (this.asking) return;  // it goes on with the step that is selected then
    this.asking = true;
    const { step } = this;
    try {
      if (!(await this.frames.get(step))) throw new Error("The probabilities need the step's frame, which is not recorded.");
      this.known.set(step, await whatIf(this.episodeId, step, [], this.signal));
    } catch (error) {
      if (!this.signal.aborted && step === this.step) this.say(sentence(error));
      if (step === this.step) return;
    } finally {
      this.asking = false;
    }
    if (!this.signal.aborted) this.about(this.step, this.still);
  }

  say(text) {
    delete this.element.dataset.step;
    this.element.replaceChildren(h("p", { class: "note" }, text));
  }

  draw({ step, action, actual }) {
    this.element.dataset.step = step;
    this.element.replaceChildren(distributionBars([{ name: "probability", distribution: actual.distribution }], this.space, action),
      h("p", { class: "note" }, `Entropy ${number(actual.distribution.entropy)}.`));
  }
}
