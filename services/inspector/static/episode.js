// One episode, live: heat map and values, frames, the list of steps, and the explanation of the selected one.

import { getAgents, getEpisode, keepEpisode } from "./api.js";
import { MemoryChart, loadCharts } from "./charts.js";
import { button, h, problem, say, throttle } from "./dom.js";
import { showExplanation } from "./explain.js";
import { save, saveMemory } from "./export.js";
import { action, age, clock, number, reward, state, words } from "./format.js";
import { listen, through } from "./keys.js";
import { Rows } from "./rows.js";
import { ROW, fillStep } from "./stepview.js";
import { Strip } from "./strip.js";

export async function show(main, signal, id) {
  let episode = await getEpisode(id, signal);
  const agent = (await getAgents(signal)).find((one) => one.digest === episode.agent_digest);
  const space = agent?.action_space, reach = agent?.window ?? Infinity;
  const keepsWords = !agent || agent.tokens_per_step > 0;  // else a policy alone: its steps have no words
  const steps = [];
  let following = true, unseen = 0;

  // As in agent.proto: the attention of the next step can still reach one of the step's words.
  const inWindow = (i) => {
    const many = steps[i].tokens.length, length = (steps.at(-1).step + 1) * many;
    return (steps[i].step + 1) * many - 1 > length - reach;
  };

  const rows = new Rows({ label: "Steps", height: ROW, count: () => steps.length, chosen,
    fill: (element, i) => fillStep(element, steps[i], { space, inWindow: inWindow(i), keepsWords }) });
  const strip = new Strip(id, signal, jump);
  const follow = button("", () => setFollowing(!following), { class: "follow" });
  const goal = h("input", { type: "number", min: 0, step: 1, id: "goal", "aria-label": "Go to step", placeholder: "step" });
  const facts = h("p", { class: "facts-line" });
  const detail = h("p", { class: "detail" });
  const explanation = h("div", { class: "explanation" });
  const chartPlace = h("div", { class: "chart-place" });
  const exports = h("div", { class: "tools" },
    keepsWords ? button("Explain this step", explainSelected) : "This agent keeps no words.",
    button("JSON lines", () => saveMemory(id, "jsonl", signal)),
    button("CSV", () => saveMemory(id, "csv", signal)),
    button("PNG", () => chart?.chart && chart.picture().then((blob) => save(`${id}.png`, blob))),
    h("a", { href: `#/compare/${encodeURIComponent(id)}` }, "Compare"));
  goal.addEventListener("change", () => { if (goal.value !== "") jump(Number(goal.value)); });
  goal.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && goal.value !== "") { jump(Number(goal.value)); rows.element.focus(); }
    if (event.key === "Escape") rows.element.focus();
  });
  main.append(h("h1", {}, id), facts, h("div", { class: "tools" }, follow, goal), chartPlace, strip.element,
    rows.element, detail, exports, explanation);

  let chart = null;
  const drawChart = throttle(() => chart?.draw(steps, steps[rows.selected]?.step), 500);
  loadCharts().then((echarts) => {
    if (signal.aborted) return;
    chart = new MemoryChart(echarts, jump);
    chartPlace.replaceChildren(chart.area, chart.note);
    drawChart();
  }, () => chartPlace.replaceChildren(h("p", { class: "note" }, "The charts could not be loaded.")));

  function setFollowing(value) {
    following = value;
    unseen = 0;
    if (following && steps.length) rows.select(steps.length - 1);
    paintFacts();
  }

  function paintFacts() {
    follow.textContent = following ? "Pause" : unseen ? `Follow (${unseen} new)` : "Follow";
    follow.setAttribute("aria-pressed", following);
    const first = steps.findIndex((_, i) => inWindow(i));
    facts.textContent = [episode.agent, `${steps.length} steps`, state(episode), `reward ${reward(episode)}`,
      `age ${age(Date.now() - episode.create_time)}`,
      !keepsWords ? "keeps no words" : steps.length ? `window: steps ${steps[first]?.step ?? "–"} to ${steps.at(-1).step}` : "no step yet"].join(" · ");
  }

  function chosen(i, byPerson) {
    if (byPerson && following && i !== steps.length - 1) { following = false; unseen = 0; paintFacts(); }
    const step = steps[i];
    detail.textContent = `Step ${step.step}: ${keepsWords ? `${words(step)} → ` : ""}${action(step.action, space)}, value ${number(step.value)}, ${clock(step.time)}`;
    chart?.select(step.step);
    strip.update(steps, i);
  }

  function jump(to) {
    const i = steps.findIndex((one) => one.step >= to);
    rows.select(i < 0 ? steps.length - 1 : i, true);
  }

  function explainSelected() {
    const step = steps[rows.selected];
    if (step && keepsWords) showExplanation(explanation, id, step.step, space, signal);
  }

  listen({ ...through(rows), " ": () => setFollowing(!following), e: explainSelected,
    g: () => { goal.value = ""; goal.focus(); } }, signal);
  const ticking = setInterval(paintFacts, 5000);
  signal.addEventListener("abort", () => { clearInterval(ticking); drawChart.cancel(); rows.close(); chart?.close(); });
  paintFacts();

  await keepEpisode(id, () => (steps.length ? steps.at(-1).step + 1 : 0), {
    steps(news) {
      steps.push(...news);
      if (following) { rows.draw(true); rows.select(steps.length - 1); } else { unseen += news.length; rows.draw(true); }
      paintFacts();
      drawChart();
    },
    caught_up() {
      rows.element.dataset.ready = "";
      if (episode.ended && steps.length) { following = false; rows.select(0); }
      paintFacts();
    },
    end(last) {
      if (last) episode = last;
      else say("The server has forgotten this episode; what was read stays here until you leave.");
      paintFacts();
    },
    state(text, error) {
      if (text === "refused") main.prepend(problem(error));
      else say(text === "live" ? "" : error ? `${error.message} Trying again.` : "Connection lost. Trying again.");
    },
  }, signal);
}
