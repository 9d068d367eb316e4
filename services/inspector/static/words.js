// Words of many episodes by outcome. Reads the memories of the latest episodes, or of those the address names, one after the
// other, and counts in the browser (counting.js). The address holds how many are counted, and the rule.

import { asked, hold } from "./address.js";
import { allMemory, getEpisode, listOnce } from "./api.js";
import { count, transitions } from "./counting.js";
import { button, h, say } from "./dom.js";
import { number } from "./format.js";
import { drawGraph, verdict } from "./graph.js";
import { percent, shareCell, wideTable } from "./shares.js";
import { barChart } from "./wordchart.js";

const MOST_SHOWN = 100, IN_CHART = 20, NODES = 12, FOLLOWED = 40;
const AMOUNTS = ["20", "50", "100", "200", "500"], DEFAULT = "50";
const COLUMNS = ["Word", "Episodes with it", "Solved of them", "Share of steps, solved", "Share of steps, failed", "Difference", "Occurrences"];
const FOLLOWS = ["From", "To", "Share of transitions", "Episodes with it", "Solved of them"];
const RULES = { zero: "above 0", median: "above the median" };

// How many of the episodes with it were solved, with Wilson's interval.
const solvedCell = (one, overall) => shareCell(one.solvedIn, one.solvedIn + one.failedIn, one.interval ?? [0, 1], verdict(one, overall));

export async function show(main, signal, ...names) {
  const given = asked();
  const amount = h("select", { id: "amount" }, AMOUNTS.map((n) => h("option", { value: n }, n)));
  amount.value = AMOUNTS.includes(given.get("latest")) ? given.get("latest") : DEFAULT;
  const rule = h("select", { id: "rule" }, Object.entries(RULES).map(([value, text]) => h("option", { value }, text)));
  rule.value = RULES[given.get("solved")] ? given.get("solved") : "zero";
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Episodes read" });
  const note = h("p", { class: "note", role: "status" }, "Which words do solved episodes hold, and failed ones do not? Count reads them.");
  const body = h("tbody"), area = h("div", { class: "chart", role: "img", "aria-label": "Share of steps with each word, by outcome" });
  const followed = h("tbody"), picture = h("div"), after = h("p", { class: "note" });
  const start = button("Count", run, { class: "main" });
  const graph = h("section", { hidden: true, "aria-label": "Which word follows which" }, h("h2", {}, "Which word follows which"), after, picture, wideTable("Transitions", FOLLOWS, followed));
  main.append(h("h1", {}, "Words of many episodes"),
    h("div", { class: "tools" }, names.length ? `${names.length} chosen episodes` : h("label", {}, "latest ", amount, " episodes"), h("label", {}, "solved: reward ", rule), start, bar),
    note, area, wideTable("Words", COLUMNS, body), graph);
  area.hidden = true;
  let read = [];
  rule.addEventListener("change", () => { keep(); if (read.length) draw(); });
  if (names.length || given.has("latest")) await run();

  function keep() {
    hold({ latest: names.length || !read.length ? "" : amount.value, solved: rule.value === "zero" ? "" : rule.value });
  }

  async function run() {
    start.disabled = true;
    read = [];
    try {
      const latest = names.length ? await Promise.all(names.map((name) => getEpisode(name, signal)))
        : (await listOnce(signal)).sort((a, b) => b.update_time - a.update_time).slice(0, Number(amount.value));
      bar.max = Math.max(1, latest.length);
      for (const [i, episode] of latest.entries()) {
        const steps = await allMemory(episode.episode_id, signal).catch((error) => {
          if (error.status === 404) return [];  // it has expired meanwhile
          throw error;
        });
        if (steps.length) read.push([episode, steps]);
        bar.value = i + 1;
        say(`${i + 1} of ${latest.length} episodes read`);
      }
      keep();
      draw();
    } catch (error) {
      if (!signal.aborted) note.textContent = error.message;
    } finally {
      start.disabled = false;
    }
  }

  function draw() {
    const { limit, counts, solved, failed } = count(read, rule.value), known = solved + failed;
    const overall = known ? solved / known : null;
    note.textContent = `${read.length} episodes, ${counts.length} words. ${known ? `${solved} solved (reward above ${number(limit, 3)}), ${failed} failed; ${read.length - known} of unknown outcome. Intervals: 95 %, Wilson's; coloured where they leave out the ${percent(overall)} of all.`
      : "No client told a reward when it ended an episode, so outcomes are unknown: EndEpisode takes total_reward."}`;
    body.replaceChildren(...counts.slice(0, MOST_SHOWN).map((one) => h("tr", {}, h("th", { scope: "row" }, one.word), h("td", {}, `${one.episodes} of ${read.length}`), solvedCell(one, overall),
      [percent(one.solved), percent(one.failed), one.difference === null ? "–" : number(one.difference), one.total].map((text) => h("td", {}, String(text))))));
    barChart(area, counts.slice(0, IN_CHART), signal);
    drawTransitions(overall);
  }

  function drawTransitions(overall) {
    const found = transitions(read, rule.value, NODES);
    graph.hidden = !found.edges.length;
    after.textContent = `The most similar word of a step, and that of the next step. The ${found.nodes.length} most frequent words, each as large as its share of the steps; every episode counts the same.`;
    picture.replaceChildren(drawGraph(found, overall));
    followed.replaceChildren(...found.edges.slice(0, FOLLOWED).map((one) => h("tr", {}, h("th", { scope: "row" }, one.from), h("td", {}, one.to === one.from ? "itself" : one.to),
      h("td", {}, `${(100 * one.share).toFixed(1)} %`), h("td", {}, `${one.episodes} of ${read.length}`), solvedCell(one, overall))));
  }
}
