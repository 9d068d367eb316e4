// Colours of charts, in light and dark, and the chart library.

export const dark = matchMedia("(prefers-color-scheme: dark)");
export const colors = () => (dark.matches
  ? { back: "#0d1117", text: "#c9d1d9", line: "#3b4350", cells: ["#1d3557", "#8ecaff"], value: "#ffb454", accent: "#ff7ab2", quiet: "#59636e" }
  : { back: "#ffffff", text: "#24292f", line: "#d0d7de", cells: ["#d6e6ff", "#0b3d91"], value: "#b45309", accent: "#c2185b", quiet: "#afb8c1" });
// One for each action; told apart without red against green.
export const SWATCHES = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#994455"];

export const loadCharts = () => import("./vendor/echarts.esm.min.js");

// Smallest and largest value, without spreading a long array into arguments.
export function bounds(values) {
  const low = values.reduce((a, b) => Math.min(a, b), Infinity), high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  return low <= high ? [low, low === high ? high + 1e-6 : high] : [0, 1];
}
