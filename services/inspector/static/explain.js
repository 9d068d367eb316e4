// Which words and steps decided what the agent did: ExplainStep, as tables.

import { explain } from "./api.js";
import { h } from "./dom.js";
import { action, number } from "./format.js";

const MOST = 12;  // rows of each table

export async function showExplanation(place, episodeId, step, space, signal) {
  place.replaceChildren(h("p", { role: "status" }, `Explaining step ${step} ...`));
  try {
    const reply = await explain(episodeId, step, signal);
    place.replaceChildren(...draw(reply, space));
  } catch (error) {
    if (signal.aborted) return;
    place.replaceChildren(h("p", { class: "problem", role: "alert" }, text(error)));
  }
}

function text(error) {
  if (error.status === 501) return "This server cannot explain steps.";
  if (error.status === 412) return `Explaining a step needs its frame: ${error.message}`;
  return error.message;
}

function draw(reply, space) {
  const { probabilities, value } = reply.decision;
  const chance = Number.isInteger(reply.action) && probabilities.length ? `, which had probability ${number(probabilities[reply.action])}` : "";
  const parts = [h("p", {}, `At step ${reply.step} it did `, h("strong", {}, action(reply.action, space)),
    `${chance}; value ${number(value)}. Its memory reached back to step ${reply.reach_from_step}.`)];
  if (!reply.words.length && !reply.steps.length) parts.push(h("p", {}, "There was nothing in its memory that could be taken away."));
  if (reply.words.length) parts.push(table("Words", reply.words, (one) => [one.tokens[0]?.text ?? "", `${one.steps.length} times`], space));
  if (reply.steps.length) {
    parts.push(table("Steps", reply.steps, (one) => [`step ${one.steps[0]}`, one.tokens.map((token) => token.text).join(", ")], space));
  }
  return parts;
}

function table(caption, influences, label, space) {
  const rows = influences.slice(0, MOST).map((one) => {
    const [name, more] = label(one);
    return h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, more),
      h("td", { class: "change" }, h("meter", { min: 0, max: 1, value: one.change, "aria-label": `influence of ${name}` }), " ", number(one.change)),
      h("td", {}, action(one.without.most_probable, space)), h("td", {}, number(one.without.value)));
  });
  const head = ["", "", "Influence", "Without it most probably", "Value without it"];
  return h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": `Influence of ${caption.toLowerCase()}` },
    h("table", { class: "influence" }, h("caption", {}, `${caption}, the most influential first`),
      h("thead", {}, h("tr", {}, head.map((name) => (name ? h("th", { scope: "col" }, name) : h("td"))))), h("tbody", {}, rows)));
}
