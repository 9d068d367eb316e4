// A distribution over actions as bars, one or several beside each other.

import { h } from "./dom.js";
import { action, number } from "./format.js";

const LEAST = 0.01;  // what is less probable everywhere has no bar

// all: [{name, probabilities}], as many probabilities as actions. done: the action that was taken.
export function actionBars(all, space, done) {
  const many = all[0].probabilities.length;
  const shown = Array.from({ length: many }, (_, i) => i).filter((i) => i === done || all.some((one) => one.probabilities[i] >= LEAST));
  const rows = shown.map((i) => {
    const cells = all.map(({ name, probabilities }, which) => {
      const bar = h("span", { class: `bar bar-${which}` });
      bar.style.width = `${100 * probabilities[i]}%`;
      return h("span", { class: "measure", title: name }, h("span", { class: "track" }, bar), h("span", { class: "figure" }, number(probabilities[i])));
    });
    return h("li", { class: i === done ? "done" : "" }, h("span", { class: "name" }, action(i, space), i === done ? " ✓" : ""), h("span", {}, cells));
  });
  const legend = all.length > 1 ? h("p", { class: "legend" }, all.map(({ name }, which) => h("span", { class: `key key-${which}` }, name))) : null;
  if (shown.length < many) rows.push(h("li", { class: "note" }, `${many - shown.length} others: below ${LEAST}`));
  return h("div", { class: "bars" }, h("h2", {}, "Actions"), legend, h("ul", { "aria-label": "Probability of each action" }, rows));
}
