// Draws one step as a row: its words with their similarity, and below them action and value.

import { h } from "./dom.js";
import { action, number } from "./format.js";

export const ROW = 54;  // pixels, as in style.css

export function fillStep(element, step, { space, inWindow = true, different = false, keepsWords = true }) {
  element.classList.toggle("outside", !inWindow);
  element.classList.toggle("different", different);
  const words = step.tokens.map((token) =>
    h("span", { class: "word" }, token.text, " ", h("small", {}, number(token.similarity))));
  const facts = [action(step.action, space), `value ${number(step.value)}`];
  if (!inWindow) facts.push("outside the window");
  if (different) facts.push("different");
  element.replaceChildren(
    h("span", { class: "step" }, step.step),
    h("span", { class: "words" }, words.length ? words : keepsWords ? "no words" : ""),
    h("span", { class: "facts" }, facts.join(" · ")));
}
