// Heat map of words over time with the value curve below it, by Apache ECharts.
// Contract: columns are the retained steps, rows the words (the most frequent first, at most WORDS of them), a cell is the
// similarity of a word that was remembered at that step.

import { h, throttle } from "./dom.js";

export const WORDS = 24;
const dark = matchMedia("(prefers-color-scheme: dark)");
const colors = () => (dark.matches
  ? { text: "#c9d1d9", line: "#3b4350", cells: ["#1d3557", "#8ecaff"], value: "#ffb454" }
  : { text: "#24292f", line: "#d0d7de", cells: ["#d6e6ff", "#0b3d91"], value: "#b45309" });

export const loadCharts = () => import("./vendor/echarts.esm.min.js");

// Words by how often they were remembered; ties by name, so that the order is always the same.
export function countWords(steps) {
  const counts = new Map();
  for (const step of steps) for (const { text } of step.tokens) counts.set(text, (counts.get(text) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}

export class MemoryChart {
  // echarts: the library. jump(step): called when a cell is clicked.
  constructor(echarts, jump) {
    this.echarts = echarts;
    this.area = h("div", { class: "chart", role: "img" });
    this.note = h("p", { class: "note" });
    this.steps = [];
    this.jump = jump;
    this.mark = throttle(() => this.paintMark(), 150);
    this.sized = new ResizeObserver(() => this.chart?.resize());
    this.retheme = () => { this.chart?.dispose(); this.chart = null; this.draw(this.steps, this.selected); };
    dark.addEventListener("change", this.retheme);
  }

  start() {
    this.chart = this.echarts.init(this.area);
    this.chart.getZr().on("click", ({ offsetX, offsetY }) => {
      const grid = [0, 1].find((i) => this.chart.containPixel({ gridIndex: i }, [offsetX, offsetY]));
      if (grid === undefined) return;
      const column = this.chart.convertFromPixel({ xAxisIndex: grid }, offsetX);
      if (this.steps[column]) this.jump(this.steps[column].step);
    });
    this.sized.observe(this.area);
  }

  draw(steps, selected) {
    this.steps = steps;
    this.selected = selected;
    if (!steps.length || !this.area.isConnected) return;
    const counted = countWords(steps), shown = counted.slice(0, WORDS).map(([word]) => word).reverse();
    const row = new Map(shown.map((word, i) => [word, i]));
    const cells = steps.flatMap((step, column) => step.tokens.filter((token) => row.has(token.text))
      .map((token) => [column, row.get(token.text), token.similarity]));
    const between = `steps ${steps[0].step} to ${steps.at(-1).step}`;
    this.area.style.height = `${(shown.length ? Math.max(120, 18 * shown.length + 20) : 0) + 170}px`;  // no words: the value alone
    this.area.setAttribute("aria-label",
      shown.length ? `Heat map of ${shown.length} words over ${between}, and the value at each step` : `The value over ${between}`);
    this.note.textContent = counted.length > WORDS ? `The ${WORDS} most frequent of ${counted.length} words.` : "";
    if (!this.chart) this.start();
    this.chart.resize();
    this.chart.setOption(this.option(steps, shown, cells), { replaceMerge: ["xAxis", "yAxis"] });
    this.paintMark();
  }

  option(steps, shown, cells) {
    const { text, line, cells: shades, value } = colors();
    const similarities = cells.map((cell) => cell[2]);
    const columns = steps.map((step) => String(step.step));
    const axis = { axisLine: { lineStyle: { color: line } }, axisLabel: { color: text }, axisTick: { show: false } };
    const names = { ...axis.axisLabel, width: 90, overflow: "truncate", interval: 0 };
    return {
      animation: false,
      textStyle: { color: text },
      grid: [{ left: 104, right: 16, top: 8, bottom: 158 }, { left: 104, right: 16, height: 80, bottom: 62 }],
      xAxis: [{ ...axis, axisLabel: { show: false } }, axis].map((one, gridIndex) => ({ ...one, id: `x${gridIndex}`, gridIndex, type: "category", data: columns })),
      yAxis: [{ ...axis, id: "word", gridIndex: 0, type: "category", data: shown, axisLabel: names },
        { ...axis, id: "value", gridIndex: 1, type: "value", scale: true, splitNumber: 2, splitLine: { lineStyle: { color: line } },
          name: "value", nameLocation: "middle", nameGap: 60, nameTextStyle: { color: text } }],
      dataZoom: [{ type: "inside", xAxisIndex: [0, 1], zoomOnMouseWheel: "ctrl" },
        { type: "slider", xAxisIndex: [0, 1], height: 18, bottom: 6, brushSelect: false, textStyle: { color: text } }],
      visualMap: { show: false, seriesIndex: 0, min: Math.min(...bounds(similarities)), max: Math.max(...bounds(similarities)),
        inRange: { color: shades } },
      series: [
        { id: "heat", type: "heatmap", xAxisIndex: 0, yAxisIndex: 0, data: cells, progressive: 4000 },
        { id: "value", type: "line", xAxisIndex: 1, yAxisIndex: 1, data: steps.map((step) => step.value), showSymbol: false,
          sampling: "lttb", lineStyle: { color: value, width: 1.5 }, itemStyle: { color: value } },
      ],
    };
  }

  select(step) {
    this.selected = step;
    this.mark();
  }

  paintMark() {
    const data = this.selected === undefined ? [] : [{ xAxis: String(this.selected) }];
    const markLine = { silent: true, symbol: "none", label: { show: false }, animation: false, data,
      lineStyle: { color: colors().text, type: "solid", width: 1 } };
    this.chart?.setOption({ series: [{ id: "value", markLine }] });
  }

  // The chart as a PNG file.
  picture() {
    const backgroundColor = dark.matches ? "#0d1117" : "#ffffff";
    const canvas = this.chart.renderToCanvas({ pixelRatio: 2, backgroundColor });
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }

  close() {
    dark.removeEventListener("change", this.retheme);
    this.sized.disconnect();
    this.mark.cancel();
    this.chart?.dispose();
  }
}

// Smallest and largest value, without spreading a long array into arguments.
function bounds(values) {
  const low = values.reduce((a, b) => Math.min(a, b), Infinity), high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  return low <= high ? [low, low === high ? high + 1e-6 : high] : [0, 1];
}
