// What would the agent have done with another memory: words taken away, replaced or swapped, asked by WhatIf (agent.proto).
// Contract: edits are kept while the page is open and hold for whatever step is selected; those of later steps are left out.

import { whatIf } from "./api.js";
import { distributionBars } from "./bars.js";
import { BranchForm } from "./branch.js";
import { button, h, say, throttle } from "./dom.js";
import { at, branchCall, sayEdit, stepOf, whatIfCommand } from "./edits.js";
import { sentence } from "./explain.js";
import { action, number } from "./format.js";
import { countWords } from "./timeline.js";

const ASK_AFTER = 250;  // ms
const STANDING = 12;  // steps whose new words are listed

const standing = ({ step, tokens }) => `${step} ${tokens.map((token) => token.text).join(", ") || "nothing"}`;

export class WhatIf {
  constructor(episodeId, space, signal) {
    Object.assign(this, { episodeId, space, signal, edits: [], steps: [] });
    this.chips = h("div", { class: "chips", role: "group", "aria-label": "Words in its memory" });
    this.byStep = h("div", { class: "by-step" });
    this.details = h("details", {}, h("summary", {}, "Step by step"), this.byStep);
    this.form = h("form", { class: "tools edit", hidden: true, onsubmit: (event) => { event.preventDefault(); this.replace(); } });
    this.list = h("ul", { class: "edits", "aria-label": "Edits" });
    this.said = h("div", { class: "said", role: "status" });
    this.bars = h("div");
    this.copies = h("div");
    this.branch = new BranchForm(episodeId, signal);
    this.element = h("div", { class: "whatif", hidden: true }, h("div", { class: "side-by-side" },
      h("div", {}, h("p", { class: "note" }, "Choose a word to replace it, × takes it away, and one dragged on another swaps the two."),
        this.chips, this.form, this.list, this.said, this.details, this.branch.element, this.copies), this.bars));
    this.details.addEventListener("toggle", () => this.paintSteps());
    this.ask = throttle(() => this.run(), ASK_AFTER);
    signal.addEventListener("abort", () => this.ask.cancel());
  }

  // Shows the memory of a step. steps: it and those before it, oldest first; the server says which of them are within reach.
  about(steps) {
    this.steps = steps;
    if (this.element.hidden || !steps.length) return;
    this.paint();
    this.ask();
  }

  get step() { return this.steps.at(-1)?.step; }

  get current() {
    const there = new Set(this.steps.map((one) => one.step));
    return this.edits.filter((edit) => stepOf(edit) === undefined || there.has(stepOf(edit)));
  }

  paint() {
    this.chips.replaceChildren(...countWords(this.steps).map(([word, many]) => this.chip(word, undefined, ` × ${many}`)));
    this.list.replaceChildren(...this.edits.map((edit, i) => h("li", {}, sayEdit(edit),
      button("↶", () => this.change(this.edits.toSpliced(i, 1)), { "aria-label": `Undo: ${sayEdit(edit)}` }))));
    this.branch.about(this.step, this.before(this.step, this.current));
    this.paintSteps();
  }

  // A branch takes the step itself, so it has the edits of what is before it.
  before(step, edits) { return edits.filter((edit) => stepOf(edit) !== step); }

  paintSteps() {
    if (!this.details.open) return;
    this.byStep.replaceChildren(...this.steps.toReversed().slice(0, 200).map((one) => h("div", { class: "tools" },
      h("span", { class: "step" }, one.step), one.tokens.map((token) => this.chip(token.text, one.step, "")))));
  }

  chip(word, step, more) {
    const name = at(step, word);
    const gone = this.edits.some(({ remove, replace }) => { const one = remove ?? replace; return one?.word === word && (one.step === undefined || one.step === step); });
    const chip = h("span", { class: gone ? "chip gone" : "chip", draggable: step === undefined ? "true" : null },
      button([word, more].join(""), () => this.edit(word, step), { class: "chip-word", "aria-label": `${name}${more}: replace` }),
      button("×", () => this.add({ remove: { word, ...(step === undefined ? {} : { step }) } }), { class: "chip-away", "aria-label": `Take away ${name}` }));
    if (step !== undefined) return chip;
    chip.addEventListener("dragstart", (event) => event.dataTransfer.setData("text/plain", word));
    chip.addEventListener("dragover", (event) => event.preventDefault());
    chip.addEventListener("drop", (event) => {
      event.preventDefault();
      const other = event.dataTransfer.getData("text/plain");
      if (other && other !== word) this.add({ swap: { word: other, other: word } });
    });
    return chip;
  }

  edit(word, step) {
    const known = countWords(this.steps).map(([text]) => text).filter((text) => text !== word);
    const input = h("input", { list: "whatif-words", "aria-label": `Another word for ${word}`, placeholder: "another word", spellcheck: "false" });
    const done = (make) => { const other = input.value.trim(); if (other) { this.form.hidden = true; this.add(make(other)); } };
    this.replace = () => done((replacement) => ({ replace: { word, replacement, ...(step === undefined ? {} : { step }) } }));
    this.form.replaceChildren(h("span", {}, `${word}${step === undefined ? "" : ` of step ${step}`} → `), input,
      h("datalist", { id: "whatif-words" }, known.map((text) => h("option", { value: text }))),
      h("button", {}, "Replace"), step === undefined ? button("Swap", () => done((other) => ({ swap: { word, other } }))) : null,
      button("Cancel", () => { this.form.hidden = true; }));
    this.form.hidden = false;
    input.focus();
  }

  add(edit) { this.change([...this.edits, edit]); }

  change(edits) {
    this.edits = edits;
    this.paint();
    this.ask();
  }

  async run() {
    const { step, current } = this, asked = this.asked = {};
    try {
      const reply = await whatIf(this.episodeId, step, current.length ? [{ edits: current }] : [], this.signal);
      if (this.asked !== asked) return;
      this.draw(reply, current);
      const within = this.steps.filter((one) => one.step >= reply.reach_from_step);
      if (within.length < this.steps.length) { this.steps = within; this.paint(); }
    } catch (error) {
      if (!this.signal.aborted && this.asked === asked) this.said.replaceChildren(h("p", { class: "problem", role: "alert" }, sentence(error)));
    }
  }

  draw(reply, edits) {
    const [other] = reply.alternatives, real = reply.actual;
    const said = [h("p", {}, `Step ${reply.step} as it was: `, h("strong", {}, action(real.most_probable, this.space)), ` most probable, value ${number(real.value)}, entropy ${number(real.distribution.entropy)}.`)];
    if (other) {
      const same = JSON.stringify(other.most_probable) === JSON.stringify(real.most_probable);
      said.push(h("p", { class: "outcome" }, "With the edits: ", h("strong", {}, action(other.most_probable, this.space)),
        `${same ? " still" : " instead"}, value ${number(other.value)}; the probabilities change by ${number(other.change)}.`));
      said.push(h("p", { class: "note changed" }, "Words as they would stand: ", other.words.slice(0, STANDING).map(standing).join(" · "), other.words.length > STANDING ? " ..." : ""));
    }
    const shown = [{ name: "as it was", distribution: real.distribution }, ...(other ? [{ name: "with the edits", distribution: other.distribution }] : [])];
    this.said.replaceChildren(...said);
    this.bars.replaceChildren(distributionBars(shown, this.space, reply.action));
    this.copies.replaceChildren(copyable("On the command line", whatIfCommand(this.episodeId, reply.step, edits)),
      copyable("Branch from here, in Python", branchCall(`${this.episodeId}-branch`, this.episodeId, reply.step, this.before(reply.step, edits))));
  }
}

function copyable(label, text) {
  const copy = async () => {
    await navigator.clipboard.writeText(text).then(() => say("Copied."), () => say("The browser does not let this page copy: select the text."));
  };
  return h("p", { class: "copy" }, h("span", { class: "note" }, label), h("code", {}, text), button("Copy", copy, { "aria-label": `Copy: ${label}` }));
}
