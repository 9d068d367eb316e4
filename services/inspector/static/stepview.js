// Draws one step as a row: its words with their similarity, action and value.

import { h } from "./dom.js";
import { action, number } from "./format.js";

export const LINE = 34, ROW = 54;  // pixels of a row: in one line, and in two where two episodes are compared

// outside: its words were out of reach when the selected step was decided. mattered: words that decided it -> influence.
export function fillStep(element, step, { space, outside = false, different = false, keepsWords = true, mattered = new Map() }) {
  element.classList.toggle("outside", outside);
  element.classList.toggle("different", different);
  const words = step.tokens.map((token) => {
    const word = h("span", { class: mattered.has(token.text) ? "word mattered" : "word" }, token.text, " ", h("small", {}, number(token.similarity)));
    word.style.setProperty("--influence", mattered.get(token.text) ?? 0);
    return word;
  });
  const facts = [h("span", { class: "action" }, action(step.action, space)), h("span", { class: "value" }, number(step.value))];
  if (outside) element.title = "outside the window of the selected step";
  else element.removeAttribute("title");
  element.replaceChildren(
    h("span", { class: "step" }, step.step),
    h("span", { class: "words" }, words.length ? words : keepsWords ? "no words" : "", different ? h("small", { class: "mark" }, " different") : null),
    h("span", { class: "facts" }, facts));
}
