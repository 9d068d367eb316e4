// Words of many episodes by outcome. Reads the memories of the latest episodes, or of those the address names, one after the
// other, and counts in the browser. Every episode counts the same, however long it is: a word's share of an episode is how
// many of its steps hold the word.

import { allMemory, getEpisode, listOnce } from "./api.js";
import { button, h, say } from "./dom.js";
import { number } from "./format.js";
import { bounds, colors, dark, loadCharts } from "./palette.js";

const MOST_SHOWN = 100, IN_CHART = 20;
const COLUMNS = ["Word", "Solved episodes with it", "Failed episodes with it", "Share of steps, solved", "Share of steps, failed", "Difference", "Occurrences"];
const RULES = { zero: "above 0", median: "above the median" };
const percent = (share) => (share === null ? "–" : `${Math.round(100 * share)} %`);

export async function show(main, signal, ...names) {
  const amount = h("select", { id: "amount" }, [20, 50, 100, 200, 500].map((n) => h("option", { value: n }, n)));
  amount.value = "50";
  const rule = h("select", { id: "rule" }, Object.entries(RULES).map(([value, text]) => h("option", { value }, text)));
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Episodes read" });
  const note = h("p", { class: "note", role: "status" }, "Which words do solved episodes hold, and failed ones do not? Count reads them.");
  const body = h("tbody"), area = h("div", { class: "chart", role: "img", "aria-label": "Share of steps with each word, by outcome" });
  const start = button("Count", run, { class: "main" });
  main.append(h("h1", {}, "Words of many episodes"),
    h("div", { class: "tools" }, names.length ? `${names.length} chosen episodes` : h("label", {}, "latest ", amount, " episodes"), h("label", {}, "solved: reward ", rule), start, bar),
    note, area,
    h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Words" },
      h("table", { class: "counts" }, h("thead", {}, h("tr", {}, COLUMNS.map((name) => h("th", { scope: "col" }, name)))), body)));
  area.hidden = true;
  let read = [];
  rule.addEventListener("change", () => read.length && draw());
  if (names.length) await run();

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
        read.push([episode, steps]);
        bar.value = i + 1;
        say(`${i + 1} of ${latest.length} episodes read`);
      }
      draw();
    } catch (error) {
      if (!signal.aborted) note.textContent = error.message;
    } finally {
      start.disabled = false;
    }
  }

  function draw() {
    const { limit, counts, solved, failed } = count(read, rule.value);
    note.textContent = `${read.length} episodes, ${counts.length} words. ${solved + failed ? `${solved} solved (reward above ${number(limit, 3)}), ${failed} failed; ${read.length - solved - failed} of unknown outcome.`
      : "No client told a reward when it ended an episode, so outcomes are unknown: EndEpisode takes total_reward."}`;
    body.replaceChildren(...counts.slice(0, MOST_SHOWN).map((one) => h("tr", {}, h("th", { scope: "row" }, one.word),
      [`${one.solvedIn} of ${solved}`, `${one.failedIn} of ${failed}`, percent(one.solved), percent(one.failed), one.difference === null ? "–" : number(one.difference), one.total]
        .map((text) => h("td", {}, text)))));
    chart(area, counts.slice(0, IN_CHART), signal);
  }
}

const mean = (values) => (values.length ? values.reduce((a, b) => a + b, 0) / values.length : null);

const weight = (one) => (one.difference === null ? (one.solved ?? one.failed ?? 0) : Math.abs(one.difference));

// Each word with the mean share of steps that hold it in solved and in failed episodes; those that differ most come first.
export function count(read, rule) {
  const rewards = read.map(([episode]) => episode.total_reward).filter((one) => one !== null).sort((a, b) => a - b);
  const middle = rewards.length / 2;
  const median = rewards.length ? (rewards[Math.floor(middle)] + rewards[Math.ceil(middle) - 1]) / 2 : 0;
  const limit = rule === "median" ? median : 0;
  const groups = { solved: [], failed: [] }, totals = new Map();
  for (const [episode, steps] of read) {
    const held = new Map();
    for (const { tokens } of steps) {
      for (const text of new Set(tokens.map((token) => token.text))) held.set(text, (held.get(text) ?? 0) + 1);
      for (const { text } of tokens) totals.set(text, (totals.get(text) ?? 0) + 1);
    }
    if (episode.total_reward === null) continue;
    groups[episode.total_reward > limit ? "solved" : "failed"].push(new Map([...held].map(([word, many]) => [word, many / steps.length])));
  }
  const counts = [...totals].map(([word, total]) => {
    const [solved, failed] = [groups.solved, groups.failed].map((all) => mean(all.map((one) => one.get(word) ?? 0)));
    return { word, total, solved, failed, solvedIn: groups.solved.filter((one) => one.has(word)).length, failedIn: groups.failed.filter((one) => one.has(word)).length,
      difference: solved === null || failed === null ? null : solved - failed };
  });
  counts.sort((a, b) => weight(b) - weight(a) || b.total - a.total || (a.word < b.word ? -1 : 1));
  return { limit, counts, solved: groups.solved.length, failed: groups.failed.length };
}

async function chart(area, counts, signal) {
  area.hidden = !counts.some((one) => one.solved !== null || one.failed !== null);
  if (area.hidden) return;
  const echarts = await loadCharts();
  if (signal.aborted) return;
  const known = echarts.getInstanceByDom(area), one = known ?? echarts.init(area);
  if (!known) {
    const sized = new ResizeObserver(() => one.resize());
    sized.observe(area);
    signal.addEventListener("abort", () => { sized.disconnect(); one.dispose(); });
  }
  area.style.height = `${70 + 26 * counts.length}px`;
  one.resize();
  const { text: color, line } = colors(), shown = counts.toReversed();
  const most = bounds(shown.flatMap((word) => [word.solved ?? 0, word.failed ?? 0]))[1];
  const series = [["failed", dark.matches ? "#e5735c" : "#c2563a"], ["solved", dark.matches ? "#58b978" : "#2f7d4f"]].map(([name, fill]) =>
    ({ id: name, name, type: "bar", itemStyle: { color: fill }, data: shown.map((word) => word[name]) }));
  one.setOption({ animation: false, grid: { left: 118, right: 24, top: 30, bottom: 28 }, legend: { top: 0, data: ["solved", "failed"], textStyle: { color } },
    xAxis: { type: "value", max: Math.min(1, Math.ceil(most * 10) / 10), axisLabel: { color, formatter: (value) => percent(value) }, splitLine: { lineStyle: { color: line } } }, series,
    yAxis: { type: "category", data: shown.map((word) => word.word), axisLabel: { color, width: 106, overflow: "truncate", interval: 0 } } });
}
