// The agents that the server has; and one of them: what it is, its model card, its known confusions, its words.
// Contract: the address holds the digest of the agent and what is searched for among its words.

import { asked, hold } from "./address.js";
import { getAgent, getAgents } from "./api.js";
import { confusions, drawCard } from "./card.js";
import { h } from "./dom.js";
import { agentLink } from "./format.js";

const MOST = 200;  // words shown
const COLUMNS = ["Agent", "What it does", "Environments", "Words a step", "Vocabulary", "Window"];

export async function show(main, signal, digest) {
  if (digest) drawAgent(main, await getAgent(digest, signal));
  else drawList(main, await getAgents(signal));
}

function drawList(main, agents) {
  main.append(h("h1", {}, "Agents"), h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Agents" }, h("table", { class: "agents" },
    h("thead", {}, h("tr", {}, COLUMNS.map((name, i) => h("th", { scope: "col", class: i > 1 ? "more" : "" }, name)))),
    h("tbody", {}, agents.map((one) => h("tr", {}, h("th", { scope: "row" }, h("a", { href: agentLink(one.digest) }, one.name), one.default ? " (default)" : ""),
      h("td", { class: "prose" }, one.description), h("td", { class: "more prose" }, (one.environments ?? []).join(", ")),
      [one.tokens_per_step ?? 0, one.vocabulary_size ?? 0, one.window ?? 0].map((value) => h("td", { class: "more" }, String(value)))))))));
}

// What can be done, in words.
function actions({ discrete, continuous, dict, names = [] } = {}) {
  if (discrete) return `${discrete} actions${names.length ? `: ${names.join(", ")}` : ""}`;
  if (continuous) return `${continuous} numbers${names.length ? `: ${names.join(", ")}` : ""}`;
  return (dict?.parts ?? []).map((part) => `${part.name}: ${actions(part.space)}`).join("; ");
}

function drawAgent(main, agent) {
  const { observation = {}, language_model: model, card, vocabulary } = agent;
  const facts = {
    Digest: h("code", {}, agent.digest), Environments: (agent.environments ?? []).join(", "),
    Frames: `${observation.width} × ${observation.height} pixels${observation.channels === 1 ? ", grey" : ""}${observation.stacked ? `, ${observation.stacked} at once` : ""}`,
    Actions: actions(agent.action_space), "Words a step (k)": agent.tokens_per_step ?? "none: this agent keeps no words", Vocabulary: `${vocabulary.length} words`,
    ...(model ? { Window: `${agent.window} words`, "Language model": `${model.kind}, ${model.source}`, Layers: model.layers, "Memory vector": `${model.dimension} numbers` } : {}),
  };
  const known = confusions(card);
  main.append(h("h1", {}, agent.name), h("p", { class: "facts-line" }, agent.description, agent.default ? " The default agent." : ""),
    h("p", { class: "tools" }, h("a", { href: "#/agents" }, "All agents"), h("a", { href: `#/?name=${encodeURIComponent(agent.name)}` }, "Its episodes")),
    h("dl", { class: "facts" }, Object.entries(facts).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value instanceof Node ? value : String(value))])),
    h("section", { "aria-label": "Confusions" }, h("h2", {}, "Words that it confuses"), known.length ? known : h("p", { class: "note" }, "Not measured for this bundle: its card names none.")),
    vocabulary.length ? drawVocabulary(vocabulary) : "",
    h("article", { class: "card", "aria-label": "Model card" }, card ? drawCard(card) : h("p", { class: "note" }, "This bundle has no model card.")));
}

function drawVocabulary(vocabulary) {
  const input = h("input", { type: "search", "aria-label": "Search the vocabulary", placeholder: "part of a word", value: asked().get("word") ?? "", spellcheck: "false" });
  const note = h("p", { class: "note", role: "status" }), list = h("ol", { class: "words", "aria-label": "Words" });
  const paint = () => {
    const part = input.value.trim().toLowerCase();
    const found = vocabulary.map((word, row) => ({ word, row })).filter(({ word }) => word.toLowerCase().includes(part));
    note.textContent = part ? `${found.length} of ${vocabulary.length} words${found.length > MOST ? `; the first ${MOST}` : ""}.` : `The first ${Math.min(MOST, found.length)} of ${vocabulary.length} words.`;
    list.replaceChildren(...found.slice(0, MOST).map(({ word, row }) => h("li", { class: "word", title: `row ${row}` }, word)));
  };
  input.addEventListener("input", () => { paint(); hold({ word: input.value.trim() }); });
  paint();
  return h("section", { "aria-label": "Vocabulary" }, h("h2", {}, "Vocabulary"), h("div", { class: "tools" }, input), note, list);
}
