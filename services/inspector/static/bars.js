// Distributions over actions, one or several beside each other: bars of discrete ones, mean and deviation of continuous ones.

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

// all: [{name, distribution}] of one kind, as WhatIf answers them (what_if.py). done: the action that was taken.
export function distributionBars(all, space, done) {
  const [{ distribution }] = all;
  if (distribution.probabilities) return actionBars(all.map((one) => ({ name: one.name, probabilities: one.distribution.probabilities })), space, done);
  if (distribution.parts) {
    return h("div", {}, Object.keys(distribution.parts).map((part) => h("section", {}, h("h2", {}, part),
      distributionBars(all.map((one) => ({ name: one.name, distribution: one.distribution.parts[part] })), (space?.dict?.parts ?? []).find((one) => one.name === part)?.space, done?.[part]))));
  }
  const rows = distribution.mean.map((_, i) => h("tr", {}, h("th", { scope: "row" }, space?.names?.[i] ?? `dimension ${i}`),
    all.map((one) => h("td", {}, `${number(one.distribution.mean[i])} ± ${number(one.distribution.deviation[i])}`)), h("td", {}, number(done?.[i]))));
  return h("table", { class: "normal" }, h("thead", {}, h("tr", {}, ["Mean ± deviation", ...all.map((one) => one.name), "taken"].map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, rows));
}
