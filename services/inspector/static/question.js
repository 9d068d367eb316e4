// The question of the page Find: a form; the same in the address; and the same as the API takes it (SearchEpisodesRequest).
// Contract: what is left empty does not narrow. The address writes a word as `shelm search` does: ball@-4 up to step 4. The fields
// offer the words of the chosen agent, or of the default one.

import { getAgent } from "./api.js";
import { button, h } from "./dom.js";

const LONGEST = 200;  // characters of a word, a name, an agent
const OUTCOMES = { solved: "EPISODE_OUTCOME_SUCCEEDED", failed: "EPISODE_OUTCOME_FAILED" };
const STATES = { running: "EPISODE_STATE_RUNNING", ended: "EPISODE_STATE_ENDED" };
const OFFERED = 20;  // words that begin like what is typed
const LIMITED = /^(.+)@-(\d+)$/s;

function readWord(text) {
  const found = LIMITED.exec(text);
  return found ? { word: found[1], last_step: Number(found[2]) } : { word: text };
}

const writeWord = ({ word, last_step: last }) => (last === undefined ? word : `${word}@-${last}`);

// Words, each with the step before which it counts. Empty rows do not count. typed(text): called while a word is written.
class Words {
  constructor(title, given, typed) {
    this.title = title;
    this.typed = typed;
    this.rows = [];
    this.list = h("div", { class: "word-rows" });
    this.element = h("fieldset", {}, h("legend", {}, title), this.list, button("Another word", () => this.add({ word: "" }).focus()));
    for (const text of given.length ? given : [""]) this.add(readWord(text));
  }

  add({ word, last_step: last }) {
    const name = `${this.title}, word ${this.rows.length + 1}`;
    const text = h("input", { type: "search", "aria-label": name, placeholder: "word", value: word, maxlength: LONGEST, list: "find-words", spellcheck: "false", oninput: () => this.typed(text.value.trim()) });
    const before = h("input", { type: "number", "aria-label": `${name}, before step`, placeholder: "any", value: last === undefined ? "" : last + 1, min: 1, max: Number.MAX_SAFE_INTEGER, step: 1 });
    this.rows.push([text, before]);
    this.list.append(h("div", { class: "tools" }, text, h("label", {}, "before step ", before)));
    return text;
  }

  read() {
    return this.rows.filter(([text]) => text.value.trim())
      .map(([text, before]) => ({ word: text.value.trim(), ...(before.value ? { last_step: Number(before.value) - 1 } : {}) }));
  }

  // A step without its word.
  check() {
    for (const [text, before] of this.rows) text.setCustomValidity(before.value && !text.value.trim() ? "Name the word that counts before this step." : "");
  }
}

const choice = (name, values, chosen) => {
  const select = h("select", { "aria-label": name }, Object.entries(values).map(([value, text]) => h("option", { value }, text)));
  select.value = chosen in values ? chosen : "";
  return select;
};

export class Question {
  // given: the parameters of the address. ask(): called when the form is sent.
  constructor(agents, given, signal, ask) {
    Object.assign(this, { agents, signal, vocabularies: new Map(), offers: h("datalist", { id: "find-words" }) });
    const agent = given.get("agent") ?? "", names = [...new Set([...agents.map((one) => one.name), ...(agent ? [agent] : [])])];
    const typed = (text) => this.offer(text);
    this.saw = new Words("Saw", given.getAll("saw"), typed);
    this.unseen = new Words("Did not see", given.getAll("not"), typed);
    this.agent = choice("Agent", { "": "any agent", ...Object.fromEntries(names.map((name) => [name, name])) }, agent);
    this.outcome = choice("Outcome", { "": "any outcome", solved: "solved", failed: "failed" }, given.get("outcome"));
    this.state = choice("State", { "": "running or ended", running: "running", ended: "ended" }, given.get("state"));
    [this.least, this.most] = ["least", "most"].map((name) => h("input", { type: "number", step: "any", "aria-label": `Reward at ${name}`, placeholder: "any", value: given.get(name) ?? "" }));
    this.name = h("input", { type: "search", "aria-label": "Name begins with", placeholder: "any", maxlength: LONGEST, value: given.get("name") ?? "", spellcheck: "false" });
    this.element = h("form", { class: "question", novalidate: true, "aria-label": "Which episodes", onsubmit: (event) => { event.preventDefault(); ask(); } },
      this.saw.element, this.unseen.element,
      h("fieldset", { class: "tools" }, h("legend", {}, "Of these episodes"), this.agent, this.outcome, this.state,
        h("label", {}, "reward ", this.least), h("label", {}, "to ", this.most), h("label", {}, "name begins with ", this.name)), this.offers);
  }

  // Offers words that begin like a text. Without a vocabulary there is nothing to offer.
  async offer(text) {
    const { agents, signal, vocabularies } = this;
    const agent = agents.find(({ name }) => name === this.agent.value) ?? agents.find((one) => one.default);
    if (!agent) return;
    if (!vocabularies.has(agent.digest)) vocabularies.set(agent.digest, getAgent(agent.digest, signal).then(({ vocabulary }) => vocabulary, () => []));
    const words = await vocabularies.get(agent.digest);
    this.offers.replaceChildren(...(text ? words.filter((word) => word.startsWith(text)).slice(0, OFFERED) : []).map((value) => h("option", { value })));
  }

  // What is wrong, with the name of the field, which gets the focus; null if nothing is.
  wrong() {
    this.saw.check();
    this.unseen.check();
    const crossed = this.least.value && this.most.value && Number(this.least.value) > Number(this.most.value);
    this.most.setCustomValidity(crossed ? `Nothing is ${this.least.value} or more and ${this.most.value} or less.` : "");
    const field = [...this.element.elements].find((one) => one.matches("input") && !one.checkValidity());
    field?.focus();
    return field ? `${field.getAttribute("aria-label")}: ${field.validationMessage}` : null;
  }

  // As SearchEpisodesRequest.
  request() {
    const reward = Object.fromEntries(["least", "most"].filter((name) => this[name].value).map((name) => [name, Number(this[name].value)]));
    const filter = { agent: this.agent.value, outcome: OUTCOMES[this.outcome.value], state: STATES[this.state.value], name_prefix: this.name.value.trim(),
      ...(Object.keys(reward).length ? { reward } : {}) };
    return { filter, saw: this.saw.read(), not_saw: this.unseen.read() };
  }

  // As parameters of the address.
  values() {
    return { saw: this.saw.read().map(writeWord), not: this.unseen.read().map(writeWord), agent: this.agent.value, outcome: this.outcome.value,
      state: this.state.value, least: this.least.value, most: this.most.value, name: this.name.value.trim() };
  }
}
