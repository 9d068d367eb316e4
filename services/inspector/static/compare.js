// Two episodes side by side, step by step; steps whose words or actions differ are marked. More than two: comparemany.js.

import { allMemory, getAgents, getEpisode, listOnce } from "./api.js";
import { MOST, drawMany } from "./comparemany.js";
import { button, h, problem } from "./dom.js";
import { link, reward, sameAction, sameWords, state } from "./format.js";
import { Frames } from "./frames.js";
import { listen, through } from "./keys.js";
import { Rows } from "./rows.js";
import { ROW, fillStep } from "./stepview.js";

const OFFERED = 500;  // names

export async function show(main, signal, ...names) {
  if (names.length > 2) await showMany(main, signal, names);
  else await showTwo(main, signal, names);
}

async function showMany(main, signal, names) {
  const shown = [...new Set(names)].slice(0, MOST);
  main.append(h("h1", {}, `Compare ${shown.length} episodes`));
  if (names.length > shown.length) main.append(h("p", { class: "note" }, `The first ${shown.length} of ${names.length}.`));
  const { sides, spaces } = await readSides(shown, signal);
  drawMany(main, signal, sides, spaces);
}

async function showTwo(main, signal, names) {
  const fields = ["First episode", "Second episode"].map((label, i) =>
    h("input", { "aria-label": label, placeholder: label.toLowerCase(), value: names[i] ?? "", spellcheck: "false", class: "name", list: "episode-names" }));
  const choices = h("datalist", { id: "episode-names" });
  listOnce(signal).then((all) => choices.append(...all.sort((a, b) => b.create_time - a.create_time).slice(0, OFFERED)
    .map((one) => h("option", { value: one.episode_id }, `${state(one)}, reward ${reward(one)}`))), () => {});
  const go = () => { location.hash = `#/compare/${fields.map((field) => encodeURIComponent(field.value.trim())).join("/")}`; };
  const form = h("div", { class: "tools" }, fields, choices, button("Compare", go));
  form.addEventListener("keydown", (event) => { if (event.key === "Enter" && event.target !== form.lastChild) go(); });
  main.append(h("h1", {}, "Compare two episodes"), form);
  if (!names[0] || !names[1]) {
    main.append(h("p", { class: "note" }, "Choose two episodes: the fields offer those of the list, and take the name of an archived one. Or choose two to ", String(MOST), " in the ",
      h("a", { href: "#/" }, "list"), ", with their boxes."));
    return;
  }
  try {
    const { sides, spaces } = await readSides(names, signal);
    draw(main, signal, sides, spaces);
  } catch (error) {
    if (!signal.aborted) main.append(problem(error));
  }
}

async function readSides(names, signal) {
  const [agents, ...sides] = await Promise.all([getAgents(signal), ...names.map((name) => readSide(name, signal))]);
  return { sides, spaces: new Map(agents.map((one) => [one.digest, one.action_space])) };
}

async function readSide(name, signal) {
  const [episode, steps] = await Promise.all([getEpisode(name, signal), allMemory(name, signal)]);
  return { episode, steps: new Map(steps.map((step) => [step.step, step])) };
}

// The steps of both, aligned by number: {step, both, different}.
export function align(a, b) {
  const numbers = [...new Set([...a.keys(), ...b.keys()])].sort((x, y) => x - y);
  return numbers.map((step) => {
    const both = [a.get(step), b.get(step)];
    const different = !both[0] || !both[1] || !sameWords(...both) || !sameAction(...both);
    return { step, both, different };
  });
}

function draw(main, signal, sides, spaces) {
  const pairs = align(sides[0].steps, sides[1].steps);
  const differing = pairs.filter((pair) => pair.different);
  const first = differing[0] ? `; the first is step ${differing[0].step}` : "";
  const rows = new Rows({ label: "Steps of both episodes", height: ROW, count: () => pairs.length, chosen: (i) => showFrames(screens, pairs[i].step),
    fill: (element, i) => fill(element, pairs[i], sides, spaces) });
  const screens = sides.map(({ episode }) => ({ frames: new Frames(episode.episode_id, signal), image: h("img", { alt: "", class: "frame", hidden: true }) }));
  const next = () => {
    const found = pairs.findIndex((pair, i) => i > rows.selected && pair.different);
    if (found >= 0) rows.select(found, true);
  };
  main.append(
    h("p", { class: "facts-line" }, `${differing.length} of ${pairs.length} steps differ${first}.`),
    h("div", { class: "tools" }, button("Next difference", next, { disabled: !differing.length })),
    h("div", { class: "pair" }, sides.map(({ episode }) => h("p", {}, h("a", { href: link(episode.episode_id) }, episode.episode_id),
      ` · ${state(episode)} · reward ${reward(episode)}`))),
    h("div", { class: "pair" }, screens.map(({ image }) => h("div", { class: "screen small" }, image))),
    rows.element);
  listen({ ...through(rows), n: next }, signal);
  signal.addEventListener("abort", () => rows.close());
  rows.element.dataset.ready = "";
  rows.draw();
  if (pairs.length) rows.select(differing.length ? pairs.indexOf(differing[0]) : 0);
}

// Both frames of a step, where they are recorded.
function showFrames(screens, step) {
  for (const screen of screens) {
    screen.wanted = step;
    screen.frames.get(step).then((url) => {
      if (screen.wanted !== step) return;
      screen.image.hidden = !url;
      if (url) Object.assign(screen.image, { src: url, alt: `Frame of step ${step}` });
    });
  }
}

function fill(element, { step, both, different }, sides, spaces) {
  element.classList.toggle("pair", true);
  element.classList.toggle("different", different);
  const halves = both.map((one, i) => {
    const half = h("span", { class: "half" });
    if (one) fillStep(half, one, { space: spaces.get(sides[i].episode.agent_digest), different });
    else half.append(h("span", { class: "step" }, step), h("span", { class: "words" }, "no such step"));
    return half;
  });
  element.replaceChildren(...halves);
}
