// Which words and steps decided what the agent did: ExplainStep, as a sentence, bars and tables; the timeline draws it too.

import { explain } from "./api.js";
import { actionBars } from "./bars.js";
import { h } from "./dom.js";
import { action, number } from "./format.js";
import { THRESHOLD, largest } from "./influence.js";

// Explains a step in `place`; the reply, or null if there is none.
export async function showExplanation(place, episodeId, step, space, signal) {
  place.dataset.step = step;
  delete place.dataset.ready;
  place.replaceChildren(h("p", { role: "status" }, `Explaining step ${step} ...`));
  try {
    const reply = await explain(episodeId, step, signal);
    if (place.dataset.step !== String(step)) return null;  // another one was asked for meanwhile
    drawExplanation(place, reply, space);
    return reply;
  } catch (error) {
    if (!signal.aborted) place.replaceChildren(h("p", { class: "problem", role: "alert" }, sentence(error)));
    return null;
  }
}

export function drawExplanation(place, reply, space) {
  place.dataset.step = reply.step;
  place.dataset.ready = "";
  place.replaceChildren(...draw(reply, space));
}

// What an error means here.
export function sentence(error) {
  if (error.status === 501) return "This server cannot decide a step again.";
  if (error.status === 412) return `Deciding a step again needs its frame: ${error.message}`;
  return error.message;
}

function draw(reply, space) {
  const { probabilities, value } = reply.decision;
  const chance = Number.isInteger(reply.action) && probabilities.length ? ` (probability ${number(probabilities[reply.action])})` : "";
  const parts = [h("p", {}, "It did ", h("strong", {}, action(reply.action, space)), `${chance}, value ${number(value)}. `, verdict(reply))];
  const tables = [
    ...table("Words", reply.words, (one) => [one.tokens[0]?.text ?? "", `${one.steps.length} ×`], space),
    ...table("Steps", reply.steps, (one) => [`step ${one.steps[0]}`, one.tokens.map((token) => token.text).join(", ")], space),
  ];
  const bars = probabilities.length ? actionBars([{ name: "as it was", probabilities }], space, reply.action) : null;
  parts.push(h("div", { class: "side-by-side" }, h("div", {}, tables), bars));
  return parts;
}

function verdict(reply) {
  if (!reply.words.length && !reply.steps.length) return "Its memory was empty.";
  const most = largest(reply);
  if (most >= THRESHOLD) return `Its memory reached back to step ${reply.reach_from_step}; what decided is framed in the timeline.`;
  return h("strong", { class: "verdict" }, `Nothing in memory decided this step: without any one word or step the probabilities change by less than ${THRESHOLD} (at most ${number(most)}).`);
}

// The influences above the threshold; the others are folded away.
function table(caption, influences, label, space) {
  const many = influences.filter((one) => one.change >= THRESHOLD).length;
  const rows = influences.map((one) => {
    const [name, more] = label(one);
    return h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, more),
      h("td", { class: "change" }, h("meter", { min: 0, max: 1, value: one.change, "aria-label": `influence of ${name}` }), " ", number(one.change)),
      h("td", {}, action(one.without.most_probable, space)), h("td", {}, number(one.without.value)));
  });
  const head = [caption, "", "Influence", "Without it", "Value"];
  const drawn = (some) => h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": `Influence of ${caption.toLowerCase()}` },
    h("table", { class: "influence" }, h("thead", {}, h("tr", {}, head.map((name) => (name ? h("th", { scope: "col" }, name) : h("td"))))), h("tbody", {}, some)));
  if (!influences.length) return [];
  const rest = rows.slice(many);
  const folded = rest.length ? h("details", {}, h("summary", {}, `${rest.length} ${caption.toLowerCase()} below ${THRESHOLD}`), drawn(rest)) : null;
  return [many ? drawn(rows.slice(0, many)) : null, folded].filter(Boolean);
}
