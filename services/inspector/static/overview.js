// How the server is doing: Acts, latency, episodes and memory, of all agents and of each.
// Contract: episodes come from the list, whose updates cost no agent anything; the rest from the services' metrics, which the
// inspector reads at most every few seconds for all viewers, and only while somebody looks. A hidden tab asks for nothing.
// Failure policy: what is not known is a dash, and the page says what setting would tell it; errors are said and tried again.

import { getAgents, getOverview, keepList, rest, seen } from "./api.js";
import { h, problem, say } from "./dom.js";
import { agentLink, bytes, isState, number } from "./format.js";
import { Rate } from "./rate.js";
import { sparkline } from "./sparkline.js";

const EVERY = 5000;  // ms
const KEPT = 60;  // rates in the curve: five minutes
const STAGES = ["decode", "retrieval", "memory", "policy", "commit"];
const COLUMNS = ["Agent", "Acts/s", "p50", "p99", "Where the time of an Act goes", "Running", "Solved", "Memory slots"];
const ms = (seconds) => (seconds === null || seconds === undefined ? "–" : `${number(1000 * seconds, seconds < 0.01 ? 1 : 0)} ms`);

export async function show(main, signal) {
  const agents = await getAgents(signal);
  const episodes = new Map(), rate = new Rate(), curve = [];
  let metrics = null;
  const tiles = h("div", { class: "tiles" }), note = h("p", { class: "note" }), body = h("tbody");
  main.append(h("h1", {}, "Overview"), tiles, h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Agents" },
    h("table", { class: "load" }, h("thead", {}, h("tr", {}, COLUMNS.map((name) => h("th", { scope: "col" }, name)))), body)), note);

  const known = () => Boolean(metrics?.sources.some((one) => !one.problem));

  function paint() {
    const all = [...episodes.values()], many = (state, some = all) => some.filter((one) => isState(one, state)).length;
    const told = new Map((known() ? metrics.agents : []).map((one) => [one.digest, one]));
    const sum = (name) => (told.size ? [...told.values()].reduce((total, one) => total + (one[name] ?? 0), 0) : null);
    const acts = known() && metrics.window ? sum("acts_per_second") : rate.value, silent = many("silent");
    const { used = null, limit = null } = metrics?.store ?? {};
    tiles.replaceChildren(tile("Acts per second", acts === null ? "–" : number(acts, 1), curve.length > 1 ? sparkline(curve, `Acts per second, ${curve.length} times`) : null),
      tile("Running episodes", many("running"), silent ? `${silent} silent` : null), tile("Ended episodes", many("ended"), many("solved") + many("failed") ? `${many("solved")} solved, ${many("failed")} failed` : null),
      tile("Redis", bytes(used), limit ? `of ${bytes(limit)}` : used === null ? null : "no limit"), tile("Memory slots in use", told.size ? `${sum("slots_used")} of ${sum("slots")}` : "–"));
    body.replaceChildren(...agents.map((agent) => {
      const one = told.get(agent.digest.slice(0, 16)), own = all.filter((episode) => episode.agent_digest === agent.digest), solved = many("solved", own), failed = many("failed", own);
      return h("tr", {}, h("th", { scope: "row" }, h("a", { href: agentLink(agent.digest) }, agent.name)), [number(one?.acts_per_second, 1), ms(one?.p50), ms(one?.p99)].map((text) => h("td", {}, text)),
        h("td", {}, one ? stages(one.stages) : "–"), [many("running", own), solved + failed ? `${solved} of ${solved + failed}` : "–", one?.slots ? `${one.slots_used} of ${one.slots}` : "–"].map((text) => h("td", {}, String(text))));
    }));
    note.textContent = explanation(metrics);
  }

  async function poll() {
    while (!signal.aborted) {
      await seen(signal);
      try {
        metrics = await getOverview(signal);
        say("");
      } catch (error) {
        if (signal.aborted) return;
        say(`${error.message} Trying again.`);
      }
      rate.look(episodes);
      const acts = metrics?.window ? metrics.agents.reduce((total, one) => total + one.acts_per_second, 0) : rate.value;
      if (acts !== null) curve.push(acts);
      curve.splice(0, curve.length - KEPT);
      paint();
      await rest(EVERY);
    }
  }

  poll();
  await keepList({
    episodes(news) {
      if (news.all) episodes.clear();
      news.removed.forEach((name) => episodes.delete(name));
      news.changed.forEach((one) => episodes.set(one.episode_id, one));
      paint();
    },
    state(text, error) { if (text === "refused") main.replaceChildren(problem(error)); },
  }, signal);
}

const tile = (name, value, more) => h("div", { class: "tile" }, h("span", { class: "note" }, name), h("strong", {}, String(value)), more && h("span", { class: "note" }, more));

// Mean times of the stages as one bar, each in its share of their sum.
function stages(times) {
  const all = STAGES.filter((name) => times[name] !== undefined), total = all.reduce((sum, name) => sum + times[name], 0);
  if (!total) return "–";
  return h("span", { class: "stages", role: "img", "aria-label": all.map((name) => `${name} ${ms(times[name])}`).join(", ") }, all.map((name, i) => {
    const part = h("span", { class: `stage stage-${i}`, title: `${name}: ${ms(times[name])}` }, times[name] / total > 0.2 ? name : "");
    part.style.width = `${(100 * times[name]) / total}%`;
    return part;
  }));
}

function explanation(metrics) {
  if (!metrics) return "";
  const away = metrics.sources.filter((one) => one.problem);
  const said = metrics.sources.length ? [`Times and rates are ${metrics.window ? `of the last ${Math.round(metrics.window)} s` : "since the services started"}, of all tenants; stages overlap.`]
    : ["Latency, memory and stages are told by the services' metrics: set SHELM_METRICS_LISTEN at the services and SHELM_INSPECTOR_METRICS here."];
  return [...said, ...away.map((one) => `${one.address} does not answer (${one.problem}).`)].join(" ");
}
