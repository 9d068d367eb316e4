// Up to MOST episodes below each other, aligned by step: the most similar word of each step as a coloured lane, the value as a curve,
// all on one scale, and frame, words and action of the step that is pointed at or selected.
// Contract: the address holds the selected step; steps at which words or actions are not those of the first episode differ.

import { asked, hold } from "./address.js";
import { button, h, svg, throttle } from "./dom.js";
import { action, link, number, outcome, reward, sameAction, sameWords, words } from "./format.js";
import { Frames } from "./frames.js";
import { listen } from "./keys.js";
import { SWATCHES, bounds } from "./palette.js";

export const MOST = 8;
const VALUE = 30;  // height of the curve's picture
const OTHERS = "#8b949e";  // words beyond those that have a colour

const top = (step) => step?.tokens[0]?.text;

// The words that have a colour: those with the largest share of the steps, every episode counting the same.
function colored(sides) {
  const shares = new Map();
  for (const { steps } of sides) for (const step of steps.values()) if (top(step)) shares.set(top(step), (shares.get(top(step)) ?? 0) + 1 / steps.size);
  return new Map([...shares].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, SWATCHES.length).map(([word], i) => [word, SWATCHES[i]]));
}

// Neighbouring steps with the same word: [{word, from, many}].
function runs(steps) {
  const found = [];
  for (const [number_, step] of steps) {
    const last = found.at(-1);
    if (last && last.word === top(step) && last.from + last.many === number_) last.many += 1;
    else found.push({ word: top(step), from: number_, many: 1 });
  }
  return found;
}

// The steps at which an episode has other words or another action than the first one, or one of the two has ended.
export function differences(sides, last) {
  const found = [];
  for (let step = 0; step <= last; step++) {
    const [one, ...others] = sides.map(({ steps }) => steps.get(step));
    if (others.some((other) => (one && other ? !sameWords(one, other) || !sameAction(one, other) : one !== other))) found.push(step);
  }
  return found;
}

function lane(side, last, colors, [low, high], spaces, signal) {
  const { episode, steps } = side;
  const strip = svg("svg", { class: "strip", viewBox: `0 0 ${last + 1} 1`, preserveAspectRatio: "none", role: "img", "aria-label": `Words of ${episode.episode_id}: ${runs(steps).length} runs of one word` },
    runs(steps).filter((run) => run.word).map((run) => svg("rect", { x: run.from, y: 0, width: run.many, height: 1, fill: colors.get(run.word) ?? OTHERS }, svg("title", {}, `${run.word}, ${run.many} steps from ${run.from}`))));
  const points = [...steps].filter(([, step]) => step.value !== null).map(([at, step]) => `${at + 0.5},${(VALUE - 2 - ((step.value - low) / (high - low)) * (VALUE - 4)).toFixed(2)}`);
  const curve = svg("svg", { class: "curve", viewBox: `0 0 ${last + 1} ${VALUE}`, preserveAspectRatio: "none", role: "img", "aria-label": `Value of ${episode.episode_id}, ${number(low)} to ${number(high)}` },
    svg("polyline", { points: points.join(" "), "vector-effect": "non-scaling-stroke" }));
  const image = h("img", { class: "frame", alt: "", hidden: true }), said = h("p", { class: "said note" }), frames = new Frames(episode.episode_id, signal);
  const element = h("section", { class: `lane-row ${outcome(episode)}`, "aria-label": episode.episode_id }, h("div", { class: "screen" }, image),
    h("div", { class: "lane-head" }, h("a", { href: link(episode.episode_id) }, episode.episode_id), h("span", { class: "note" }, `${steps.size} steps · ${outcome(episode)} · reward ${reward(episode)}`), said),
    h("div", { class: "lane-plot" }, strip, curve));
  const show = async (step) => {
    const one = steps.get(step);
    said.textContent = one ? `${words(one)}${one.tokens.length ? " → " : ""}${action(one.action, spaces.get(episode.agent_digest))}, value ${number(one.value)}` : "no such step";
    side.wanted = step;
    const url = one ? await frames.get(step) : null;
    if (side.wanted !== step) return;
    image.hidden = !url;
    if (url) Object.assign(image, { src: url, alt: `Frame of step ${step} of ${episode.episode_id}` });
  };
  return { element, show };
}

export function drawMany(main, signal, sides, spaces) {
  const last = Math.max(0, ...sides.flatMap(({ steps }) => [...steps.keys()])), colors = colored(sides);
  const range = bounds(sides.flatMap(({ steps }) => [...steps.values()].map((step) => step.value).filter((value) => value !== null)));
  const lanes = sides.map((side) => lane(side, last, colors, range, spaces, signal)), differing = differences(sides, last);
  const cursor = { step: null }, place = h("span", { class: "place" });
  const scrubber = h("input", { type: "range", class: "scrubber", min: 0, max: last, step: 1, "aria-label": "Step", oninput: () => select(Number(scrubber.value)) });
  const lanesElement = h("div", { class: "lanes" }, lanes.map((one) => one.element));
  let selected = Math.min(last, Number(asked().get("step") ?? differing[0] ?? 0) || 0);

  const show = throttle(() => { for (const one of lanes) one.show(cursor.step); }, 80);
  function point(step) {
    if (cursor.step === step) return;
    cursor.step = step;
    place.textContent = `step ${step} of ${last}${differing.includes(step) ? ", differs" : ""}`;
    lanesElement.style.setProperty("--at", (step + 0.5) / (last + 1));
    show();
  }

  function select(step) {
    selected = Math.min(last, Math.max(0, step));
    scrubber.value = selected;
    point(selected);
    hold({ step: String(selected) });
  }

  const under = (event) => {
    const plot = event.target.closest(".lane-plot")?.getBoundingClientRect();
    return plot ? Math.min(last, Math.max(0, Math.floor(((event.clientX - plot.left) / plot.width) * (last + 1)))) : null;
  };
  lanesElement.addEventListener("pointermove", (event) => point(under(event) ?? selected));
  lanesElement.addEventListener("pointerleave", () => point(selected));
  lanesElement.addEventListener("click", (event) => { const step = under(event); if (step !== null) select(step); });
  const next = () => { const found = differing.find((step) => step > selected); if (found !== undefined) select(found); };
  main.append(h("p", { class: "facts-line" }, `${differing.length} of ${last + 1} steps differ from the first episode${differing.length ? `; the first is step ${differing[0]}` : ""}.`),
    h("div", { class: "tools" }, button("Next difference", next, { disabled: !differing.length }), place),
    h("p", { class: "legend" }, [...colors].map(([word, color]) => { const swatch = h("i", { class: "swatch" }); swatch.style.background = color; return h("span", {}, swatch, word); })),
    scrubber, lanesElement);
  const by = (step) => () => select(selected + step);
  listen({ ArrowRight: by(1), j: by(1), ArrowLeft: by(-1), k: by(-1), Home: () => select(0), End: () => select(last), n: next }, signal);
  signal.addEventListener("abort", () => show.cancel());
  select(selected);
  lanesElement.dataset.ready = "";
}
