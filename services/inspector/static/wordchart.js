// Words by outcome as bars: the mean share of steps that hold each, in solved and in failed episodes.

import { bounds, colors, dark, loadCharts } from "./palette.js";

const percent = (share) => `${Math.round(100 * share)} %`;

export async function barChart(area, counts, signal) {
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
    xAxis: { type: "value", max: Math.min(1, Math.ceil(most * 10) / 10), axisLabel: { color, formatter: percent }, splitLine: { lineStyle: { color: line } } }, series,
    yAxis: { type: "category", data: shown.map((word) => word.word), axisLabel: { color, width: 106, overflow: "truncate", interval: 0 } } });
}
