// Counts the words of many episodes by outcome. Reads the memories of the latest episodes, one after the other, and counts
// in the browser.

import { allMemory, keepList } from "./api.js";
import { loadCharts } from "./charts.js";
import { button, h, say } from "./dom.js";
import { number } from "./format.js";

const MOST_SHOWN = 100, IN_CHART = 20;
const COLUMNS = ["Word", "Occurrences", "Episodes", "In good ones", "In bad ones", "Outcome unknown"];
const dark = matchMedia("(prefers-color-scheme: dark)");

export async function show(main, signal) {
  const amount = h("select", { id: "amount" }, [20, 50, 100, 200, 500].map((n) => h("option", { value: n }, n)));
  amount.value = "50";
  const rule = h("select", { id: "rule" }, h("option", { value: "median" }, "above the median"), h("option", { value: "zero" }, "above 0"));
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Episodes read" });
  const note = h("p", { class: "note", role: "status" });
  const body = h("tbody"), area = h("div", { class: "chart", role: "img", "aria-label": "The most frequent words by outcome" });
  const start = button("Count", run);
  main.append(h("h1", {}, "Words of many episodes"),
    h("div", { class: "tools" }, h("label", {}, "latest ", amount, " episodes"), h("label", {}, "good: reward ", rule), start, bar),
    note, area,
    h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Words" },
      h("table", { class: "counts" }, h("thead", {}, h("tr", {}, COLUMNS.map((name) => h("th", { scope: "col" }, name)))), body)));
  area.hidden = true;
  let read = [];
  rule.addEventListener("change", () => read.length && draw());

  async function run() {
    start.disabled = true;
    read = [];
    try {
      const latest = (await listOnce(signal)).sort((a, b) => b.update_time - a.update_time).slice(0, Number(amount.value));
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
    const { limit, counts } = count(read, rule.value);
    const known = read.filter(([episode]) => episode.total_reward !== null).length;
    note.textContent = `${read.length} episodes, ${counts.length} words. ${known ? `Reward known of ${known}; good: above ${number(limit, 3)}.`
      : "No client told a reward when it ended an episode, so outcomes are unknown."}`;
    body.replaceChildren(...counts.slice(0, MOST_SHOWN).map((one) => h("tr", {}, h("th", { scope: "row" }, one.word),
      [one.total, one.episodes, one.good, one.bad, one.unknown].map((n) => h("td", {}, n)))));
    chart(area, counts.slice(0, IN_CHART), signal);
  }
}

// Occurrences of each word by the outcome of their episodes, most frequent first.
export function count(read, rule) {
  const rewards = read.map(([episode]) => episode.total_reward).filter((one) => one !== null).sort((a, b) => a - b);
  const middle = rewards.length / 2;
  const median = rewards.length ? (rewards[Math.floor(middle)] + rewards[Math.ceil(middle) - 1]) / 2 : 0;
  const limit = rule === "zero" ? 0 : median;
  const counts = new Map();
  for (const [episode, steps] of read) {
    const outcome = episode.total_reward === null ? "unknown" : episode.total_reward > limit ? "good" : "bad";
    const here = new Set();
    for (const { tokens } of steps) {
      for (const { text } of tokens) {
        if (!counts.has(text)) counts.set(text, { word: text, total: 0, episodes: 0, good: 0, bad: 0, unknown: 0 });
        const one = counts.get(text);
        one.total += 1;
        one[outcome] += 1;
        if (!here.has(text)) one.episodes += 1;
        here.add(text);
      }
    }
  }
  return { limit, counts: [...counts.values()].sort((a, b) => b.total - a.total || (a.word < b.word ? -1 : 1)) };
}

// The list as it is now.
function listOnce(signal) {
  const own = new AbortController();
  signal.addEventListener("abort", () => own.abort());
  return new Promise((resolve, reject) => {
    keepList({
      episodes: (news) => { resolve(news.changed); own.abort(); },
      state: (text, error) => { if (error) { reject(error); own.abort(); } },
    }, own.signal);
  });
}

async function chart(area, counts, signal) {
  area.hidden = !counts.length;
  if (!counts.length) return;
  const echarts = await loadCharts();
  if (signal.aborted) return;
  const known = echarts.getInstanceByDom(area), one = known ?? echarts.init(area);
  if (!known) {
    const sized = new ResizeObserver(() => one.resize());
    sized.observe(area);
    signal.addEventListener("abort", () => { sized.disconnect(); one.dispose(); });
  }
  area.style.height = `${60 + 20 * counts.length}px`;
  one.resize();
  const color = dark.matches ? "#c9d1d9" : "#24292f", shown = counts.toReversed();
  const series = [["good", "#2f7d4f"], ["bad", "#c2563a"], ["unknown", "#8b949e"]].map(([name, fill]) =>
    ({ id: name, name, type: "bar", stack: "all", itemStyle: { color: fill }, data: shown.map((word) => word[name]) }));
  one.setOption({ animation: false, grid: { left: 110, right: 16, top: 30, bottom: 24 }, legend: { top: 0, textStyle: { color } },
    xAxis: { type: "value", axisLabel: { color } }, series,
    yAxis: { type: "category", data: shown.map((word) => word.word), axisLabel: { color, width: 96, overflow: "truncate", interval: 0 } } });
}
