// One episode, live: the frame with play and scrubber, the timeline, the steps, and what is said about the selected one.
// Contract: frame, timeline, steps and panel always show the same selected step, which the address holds unless the newest one
// is followed; the step under the pointer is marked in all of them.

import { getAgents, getEpisode, keepEpisode } from "./api.js";
import { button, h, problem, say, throttle } from "./dom.js";
import { sayEdit } from "./edits.js";
import { exportMenu } from "./export.js";
import { SILENT, action, age, agentLink, clock, link, number, reward, state, words } from "./format.js";
import { Frames } from "./frames.js";
import { Influence, THRESHOLD, deciding, largest } from "./influence.js";
import { listen, through } from "./keys.js";
import { loadCharts } from "./palette.js";
import { Panel } from "./panel.js";
import { Player } from "./player.js";
import { windows } from "./reach.js";
import { Rows } from "./rows.js";
import { LINE, fillStep } from "./stepview.js";
import { Timeline } from "./timeline.js";

// Where an episode comes from that goes on from another one's step.
const origin = (branch) => branch && h("span", { class: "note origin" }, "branch of ",
  h("a", { href: `${link(branch.source_episode_id)}/${branch.step}` }, `${branch.source_episode_id}, step ${branch.step}`),
  branch.edits.length ? `: ${branch.edits.map(sayEdit).join(", ")}` : ", with the same words");

const NONE = new Map();
const allReached = () => true;  // until there are steps

export async function show(main, signal, id, start) {
  let episode = await getEpisode(id, signal);
  const agent = (await getAgents(signal)).find((one) => one.digest === episode.agent_digest);
  const space = agent?.action_space, reach = agent?.window ?? Infinity;
  const keepsWords = !agent || agent.tokens_per_step > 0;  // else a policy alone: its steps have no words
  const steps = [];
  let inWindow = allReached, caughtUp = false, over = null, mattered = NONE;

  const selectedStep = () => steps[rows.selected];
  const rows = new Rows({ label: "Steps", height: LINE, count: () => steps.length, chosen, over: (i) => hover(steps[i]?.step ?? null),
    fill: (element, i) => {
      const at = rows.selected, one = steps[i];
      fillStep(element, one, { space, keepsWords, outside: at >= 0 && i < at && !inWindow(at, i), mattered: i <= at ? mattered : NONE });
      element.classList.toggle("over", one.step === over);
      element.classList.toggle("later", at >= 0 && i > at);
    } });
  const frames = new Frames(id, signal);
  const player = new Player(frames, { count: () => steps.length, selected: () => rows.selected, stepAt: (i) => steps[i].step,
    running: () => !episode.ended, select: (i, byPerson = true) => rows.select(i, byPerson), go: jump, changed: () => { paintFacts(); hold(); if (keepsWords && selectedStep()) panel.rest(player.mode === "paused"); } }, signal);
  const influence = keepsWords ? new Influence(episode, reach, signal, () => { paintLane(); timeline?.later(); }) : null;
  const panel = new Panel(id, space, frames, signal, { reached: () => steps.slice(0, rows.selected + 1),
    explained: (reply) => {
      if (reply) influence.note(reply.step, largest(reply));
      mattered = reply ? deciding(reply) : NONE;
      timeline?.explain(reply);
      rows.draw(true);
    } });
  const facts = h("p", { class: "facts-line" });
  const chartPlace = h("div", { class: "chart-place" }, h("p", { class: "note" }, "Loading the timeline ..."));
  const lane = button("", () => (influence.on ? influence.stop() : influence.start(() => steps)), { class: "lane" });
  const laneNote = h("span", { class: "note" });
  main.append(h("div", { class: "episode" },
    h("div", { class: "title" }, h("h1", {}, id), origin(episode.branch), facts, h("div", { class: "tools" },
      exportMenu(id, () => timeline?.chart && timeline.picture(), signal),
      h("a", { href: agentLink(episode.agent_digest) }, "Agent"), h("a", { href: `#/compare/${encodeURIComponent(id)}` }, "Compare"))),
    player.element,
    h("section", { class: "timeline", "aria-label": "Timeline" }, chartPlace,
      keepsWords ? h("div", { class: "tools lane-tools" }, lane, laneNote) : null),
    rows.element, keepsWords ? panel.element : h("section", { class: "panel" }, panel.detail, h("p", {}, "This agent keeps no words."))));

  let timeline = null;
  loadCharts().then((echarts) => {
    if (signal.aborted) return;
    timeline = new Timeline(echarts, space, influence?.values ?? null, { jump, hover });
    chartPlace.replaceChildren(timeline.element, timeline.legend, timeline.note);
    timeline.draw(steps, selectedStep()?.step);
  }, () => chartPlace.replaceChildren(h("p", { class: "note" }, "The timeline could not be loaded: reload the page.")));

  function paintFacts() {
    const at = rows.selected, first = steps.findIndex((_, i) => at >= 0 && i <= at && inWindow(at, i));
    const silent = Date.now() - episode.update_time;
    facts.textContent = [episode.agent, `${steps.length} steps`, state(episode), ...(episode.total_reward === null ? [] : [`reward ${reward(episode)}`]),
      !episode.ended && silent > SILENT ? `last heard of ${age(silent)} ago` : `age ${age(Date.now() - episode.create_time)}`,
      !keepsWords ? "keeps no words" : at >= 0 ? `window: steps ${steps[first]?.step ?? "–"} to ${steps[at].step}` : "no step yet"].join(" · ");
  }

  function describe(step) {
    const mattering = influence?.values.get(step.step);
    panel.detail.replaceChildren(h("strong", {}, `Step ${step.step}: `), keepsWords && step.tokens.length ? `${words(step)} → ` : "", action(step.action, space),
      `, value ${number(step.value)}`, typeof mattering === "number" ? `, memory mattered ${number(mattering)}` : "", `, ${clock(step.time)}`);
  }

  function chosen(i, byPerson) {
    if (byPerson && player.mode !== "paused" && !(player.mode === "following" && i === steps.length - 1)) player.set("paused");
    const step = steps[i];
    describe(step);
    timeline?.select(step.step);
    player.show(step.step, steps[i + 1]?.step);
    player.paint();
    if (keepsWords) panel.select(step.step, player.mode === "paused");
    rows.draw(true);
    paintFacts();
    hold();
  }

  // The step under the pointer: marked everywhere, and its frame shown; null: none.
  const preview = throttle(() => {
    const step = steps.find((one) => one.step === over) ?? selectedStep();
    if (!step) return;
    describe(step);
    player.show(step.step);
  }, 80);
  function hover(step) {
    if (over === step) return;
    over = step;
    timeline?.hover(step);
    for (const [i, row] of rows.drawn) row.classList.toggle("over", steps[i].step === over);
    if (player.mode !== "playing") preview();
  }

  // The address holds the step, unless the newest one is followed.
  const hold = throttle(() => {
    if (!caughtUp) return;
    const step = player.mode === "following" ? undefined : selectedStep()?.step;
    history.replaceState(null, "", step === undefined ? link(id) : `${link(id)}/${step}`);
  }, 400);

  function jump(to) {
    const i = steps.findIndex((one) => one.step >= to);
    rows.select(i < 0 ? steps.length - 1 : i, true);
  }

  function paintLane() {
    const done = steps.filter((one) => influence.values.has(one.step)).length;
    lane.textContent = influence.on ? "Stop" : done ? "Go on" : "Where did memory matter?";
    lane.hidden = done === steps.length;
    laneNote.textContent = !done && !influence.on ? "Takes one word away at a time, at every step." : `Memory: the change when one word is taken away; ${done} of ${steps.length} steps known. Grey: below ${THRESHOLD}.`;
    if (selectedStep() && over === null) describe(selectedStep());
  }

  const explain = () => { if (keepsWords && selectedStep()) { if (player.mode !== "paused") player.set("paused"); panel.explain(); } };
  listen({ ...through(rows), " ": () => player.flip(), f: () => player.set("following"), e: explain, w: () => keepsWords && panel.flip(),
    g: () => { player.goal.value = ""; player.goal.focus(); } }, signal);
  player.goal.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === "Escape") rows.element.focus(); });
  const ticking = setInterval(paintFacts, 5000);
  signal.addEventListener("abort", () => { clearInterval(ticking); hold.cancel(); preview.cancel(); rows.close(); timeline?.close(); });
  paintFacts();

  await keepEpisode(id, () => (steps.length ? steps.at(-1).step + 1 : 0), {
    steps(news) {
      steps.push(...news);
      episode = { ...episode, update_time: Math.max(episode.update_time, steps.at(-1).time) };
      inWindow = windows(steps, agent?.tokens_per_step ?? 1, reach);
      rows.draw(true);
      if (caughtUp) player.arrived(news.length);
      paintFacts();
      if (influence) paintLane();
      if (timeline) { Object.assign(timeline, { steps, selected: selectedStep()?.step }); timeline.later(); }
    },
    caught_up() {
      if (!caughtUp) {
        caughtUp = true;
        if (start !== undefined && steps.length) { player.set("paused"); jump(Number(start)); }
        else if (episode.ended && steps.length) { player.set("paused"); rows.select(0); }
        else player.set("following");
      }
      rows.element.dataset.ready = "";
      paintFacts();
      if (episode.ended && influence) influence.start(() => steps);
    },
    end(last) {
      if (last) episode = last;
      else say("The server has forgotten this episode; what was read stays here until you leave.");
      if (player.mode === "following") player.set("paused");
      player.paint();
      paintFacts();
    },
    state(text, error) {
      if (text === "refused") main.prepend(problem(error));
      else say(text === "live" ? "" : error ? `${error.message} Trying again.` : "Connection lost. Trying again.");
    },
  }, signal);
}
