// The steps of an episode as one picture: words, actions, value and the influence of memory in lanes above each other.
// Contract: columns are the retained steps; the rows of the first lane are words (the most frequent first, at most WORDS of
// them), a cell is the similarity of a word that was remembered at that step. An explanation is drawn into it: the words and
// steps that decided are framed, and a lane has a bar for each such step. More than SPAN steps are shown in parts.

import { h, throttle } from "./dom.js";
import { action, number } from "./format.js";
import { THRESHOLD, deciding } from "./influence.js";
import { SWATCHES, bounds, colors, dark } from "./palette.js";

export const WORDS = 24;
const SPAN = 300;  // steps shown at once, until somebody zooms
const LEFT = 118, RIGHT = 14, GAP = 7;

// Words by how often they were remembered; ties by name, so that the order is always the same.
export function countWords(steps) {
  const counts = new Map();
  for (const step of steps) for (const { text } of step.tokens) counts.set(text, (counts.get(text) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}

export class Timeline {
  // echarts: the library. influence: Map of step -> influence, or null without words. on: {jump(step), hover(step or null)}.
  constructor(echarts, space, influence, on) {
    Object.assign(this, { echarts, space, influence, on, steps: [], explained: null, range: null });
    this.area = h("div", { class: "chart", role: "img" });
    this.lines = ["at", "over"].map((kind) => h("div", { class: `line ${kind}`, hidden: true }));
    this.element = h("div", { class: "plot" }, this.area, this.lines);
    this.note = h("p", { class: "note" });
    this.legend = h("p", { class: "legend" });
    this.later = throttle(() => this.draw(this.steps, this.selected), 500);
    this.sized = new ResizeObserver(() => { this.chart?.resize(); this.place(); });
    this.retheme = () => { this.chart?.dispose(); this.chart = null; this.draw(this.steps, this.selected); };
    dark.addEventListener("change", this.retheme);
  }

  start() {
    this.chart = this.echarts.init(this.area);
    const column = ({ offsetX, offsetY }) => {
      const inside = offsetX >= LEFT && offsetX <= this.chart.getWidth() - RIGHT && offsetY < this.bottom;
      return inside ? this.steps[this.chart.convertFromPixel({ xAxisIndex: 0 }, offsetX)] : undefined;
    };
    this.chart.getZr().on("click", (event) => { const step = column(event); if (step) this.on.jump(step.step); });
    this.chart.getZr().on("mousemove", (event) => this.on.hover(column(event)?.step ?? null));
    this.chart.getZr().on("globalout", () => this.on.hover(null));
    this.chart.on("datazoom", () => {
      const { startValue, endValue } = this.chart.getOption().dataZoom[0];
      this.range = [startValue, endValue];
      this.place();
    });
    this.sized.observe(this.area);
  }

  // The lanes from the top: {name, top, height}.
  lanes(words) {
    const row = words <= 6 ? 24 : words <= 8 ? 20 : words <= 14 ? 16 : 13;
    const heights = { words: words * row, ...(this.explained ? { explained: 30 } : {}),
      ...(this.space?.discrete ? { action: 14 } : {}), value: 52, ...(this.influence ? { memory: 30 } : {}) };
    let top = 6;
    return Object.entries(heights).map(([name, height]) => {
      const lane = { name, top, height };
      top += height + (height ? GAP : 0);
      return lane;
    });
  }

  draw(steps, selected) {
    Object.assign(this, { steps, selected });
    if (!steps.length || !this.area.isConnected) return;
    const counted = countWords(steps), shown = counted.slice(0, WORDS).map(([word]) => word).reverse();
    const lanes = this.lanes(shown.length), last = lanes.at(-1);
    this.bottom = last.top + last.height;
    this.range = this.window(steps);
    const between = `steps ${steps[0].step} to ${steps.at(-1).step}`;
    this.area.style.height = `${this.bottom + 22 + (steps.length > 60 ? 24 : 0)}px`;
    this.area.setAttribute("aria-label",
      shown.length ? `Heat map of ${shown.length} words over ${between}, and the value at each step` : `The value over ${between}`);
    this.note.textContent = counted.length > WORDS ? `The ${WORDS} most frequent of ${counted.length} words.` : "";
    this.paintLegend();
    if (!this.chart) this.start();
    this.chart.resize();
    this.chart.setOption(this.option(steps, shown, lanes), { notMerge: true });
    this.place();
  }

  // The columns to show: all; if there are many, those around the selected step, or those somebody has zoomed to.
  window(steps) {
    const last = steps.length - 1, at = Math.max(0, steps.findIndex((one) => one.step === this.selected));
    const grown = this.range && this.range[0] === 0 && this.range[1] >= (this.many ?? 0) - 1;  // all were shown
    this.many = steps.length;
    let [from, to] = this.range && !grown ? this.range : [0, last];
    if (grown || !this.range) [from, to] = last < SPAN || (grown && this.range[1] >= SPAN) ? [0, last] : [0, SPAN - 1];
    if (at < from || at > to) { const half = Math.floor((to - from) / 2); from = at - half; to = at + half; }
    const shift = Math.max(0, -from) - Math.max(0, to - last);
    return [Math.max(0, from + shift), Math.min(last, to + shift)];
  }

  option(steps, shown, lanes) {
    const { text, line, cells: shades, accent } = colors();
    const row = new Map(shown.map((word, i) => [word, i]));
    const cells = steps.flatMap((step, column) => step.tokens.filter((token) => row.has(token.text))
      .map((token) => [column, row.get(token.text), token.similarity]));
    const [min, max] = bounds(cells.map((cell) => cell[2])), columns = steps.map((step) => String(step.step));
    const mattered = this.explained ? deciding(this.explained) : new Map();
    const axis = { axisLine: { lineStyle: { color: line } }, axisTick: { show: false } };
    const wordLabel = (word) => (mattered.has(word) ? `{m|${word} ${number(mattered.get(word))}}` : word);
    const middle = { interval: 0.5, color: text };
    const named = (name, most = 1) => ({ min: 0, max: most, interval: most / 2, splitLine: { show: false },
      axisLabel: { ...middle, formatter: (value) => (value === most / 2 ? name : "") } });
    const y = {
      words: { type: "category", data: shown, axisLabel: { color: text, width: 106, overflow: "truncate", interval: 0, formatter: wordLabel,
        rich: { m: { color: accent, fontWeight: "bold" } } } },
      explained: named(`for step ${this.explained?.step}`),
      action: named("action"),
      value: { scale: true, splitNumber: 2, splitLine: { lineStyle: { color: line } }, axisLabel: { color: text, hideOverlap: true },
        name: "value", nameLocation: "middle", nameGap: 46, nameTextStyle: { color: text } },
      memory: named("memory"),
    };
    return {
      animation: false, textStyle: { color: text },
      grid: lanes.map(({ top, height }) => ({ left: LEFT, right: RIGHT, top, height })),
      xAxis: lanes.map((_, i) => ({ ...axis, gridIndex: i, type: "category", data: columns, axisLabel: { color: text, show: i === lanes.length - 1 } })),
      yAxis: lanes.map(({ name }, i) => ({ ...axis, type: "value", ...y[name], gridIndex: i })),
      dataZoom: [{ type: "inside", xAxisIndex: lanes.map((_, i) => i), zoomOnMouseWheel: "ctrl", startValue: this.range[0], endValue: this.range[1] },
        { type: "slider", show: steps.length > 60, xAxisIndex: lanes.map((_, i) => i), left: LEFT, right: RIGHT, height: 16, top: this.bottom + 24,
          brushSelect: false, showDetail: false, startValue: this.range[0], endValue: this.range[1] }],
      visualMap: { show: false, seriesIndex: 0, min, max, inRange: { color: shades } },
      series: this.series(steps, lanes, cells, row, mattered),
    };
  }

  series(steps, lanes, cells, row, mattered) {
    const { value, accent, quiet } = colors();
    const lane = (name) => { const i = lanes.findIndex((one) => one.name === name); return { xAxisIndex: i, yAxisIndex: i }; };
    const bars = (name, data) => ({ id: name, type: "bar", ...lane(name), data, barCategoryGap: "10%", barMinHeight: 1, silent: true });
    const bar = (change) => (change === null || change === undefined ? null : { value: change, itemStyle: { color: change >= THRESHOLD ? accent : quiet } });
    const all = [
      { id: "heat", type: "heatmap", ...lane("words"), data: cells, progressive: 4000 },
      { id: "value", type: "line", ...lane("value"), data: steps.map((step) => step.value), showSymbol: steps.length < 40, symbolSize: 4,
        sampling: "lttb", lineStyle: { color: value, width: 1.5 }, itemStyle: { color: value } },
    ];
    if (lanes.some(({ name }) => name === "action")) {
      all.push({ ...bars("action", steps.map((step) => ({ value: 1, itemStyle: { color: SWATCHES[step.action % SWATCHES.length] } }))), barCategoryGap: "0%" });
    }
    if (this.influence) all.push(bars("memory", steps.map((step) => bar(this.influence.get(step.step)))));
    if (this.explained) {
      const by = new Map(this.explained.steps.map((one) => [one.steps[0], one.change]));
      const until = this.explained.step;
      const framed = steps.flatMap((step, column) => (step.step > until ? [] : step.tokens
        .filter((token) => mattered.has(token.text) && row.has(token.text)).map((token) => [column, row.get(token.text), mattered.get(token.text)])));
      all.push(bars("explained", steps.map((step) => bar(by.get(step.step)))),
        { id: "framed", type: "custom", ...lane("words"), data: framed, silent: true, renderItem: (_, api) => frame(api, accent) });
    }
    return all;
  }

  paintLegend() {
    const used = this.space?.discrete ? [...new Set(this.steps.map((step) => step.action))].sort((a, b) => a - b) : [];
    this.legend.replaceChildren(...used.slice(0, SWATCHES.length).map((one) => {
      const swatch = h("i", { class: "swatch" });
      swatch.style.background = SWATCHES[one % SWATCHES.length];
      return h("span", {}, swatch, action(one, this.space));
    }));
  }

  // reply: ExplainStep's, or null.
  explain(reply) {
    if (this.explained === reply) return;
    this.explained = reply;
    this.draw(this.steps, this.selected);
  }

  select(step) {
    this.selected = step;
    const before = this.range;
    if (before && this.chart) {
      const [from, to] = this.window(this.steps);
      if (from !== before[0] || to !== before[1]) this.chart.dispatchAction({ type: "dataZoom", startValue: from, endValue: to });
    }
    this.place();
  }

  hover(step) {
    this.over = step;
    this.place();
  }

  // Puts the lines of the selected step and of the one under the pointer where these steps are.
  place() {
    if (!this.chart || !this.steps.length) return;
    [this.selected, this.over].forEach((step, i) => {
      const column = this.steps.findIndex((one) => one.step === step), line = this.lines[i];
      line.hidden = column < 0 || column < this.range[0] || column > this.range[1];
      if (line.hidden) return;
      const width = (this.chart.getWidth() - LEFT - RIGHT) / (this.range[1] - this.range[0] + 1);
      line.style.width = `${Math.max(2, width)}px`;
      line.style.left = `${LEFT + (column - this.range[0]) * width - (width < 2 ? 1 : 0)}px`;
      line.style.height = `${this.bottom}px`;
    });
  }

  // The chart as a PNG file.
  picture() {
    const canvas = this.chart.renderToCanvas({ pixelRatio: 2, backgroundColor: colors().back });
    return new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
  }

  close() {
    dark.removeEventListener("change", this.retheme);
    this.sized.disconnect();
    this.later.cancel();
    this.chart?.dispose();
  }
}

function frame(api, stroke) {
  const [x, y] = api.coord([api.value(0), api.value(1)]), [w, height] = api.size([1, 1]);
  return { type: "rect", shape: { x: x - w / 2 + 1, y: y - height / 2 + 1, width: Math.max(2, w - 2), height: height - 2 },
    style: { fill: "none", stroke, lineWidth: 2, opacity: 0.3 + 0.7 * api.value(2) } };
}
