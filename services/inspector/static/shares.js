// Tables of shares, each with its interval drawn beside it.

import { h } from "./dom.js";

export const percent = (share) => (share === null ? "–" : `${Math.round(100 * share)} %`);

// heads: names of the columns, or [name, class of the cell].
export const wideTable = (label, heads, body, kind = "counts") => h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": label },
  h("table", { class: kind }, h("thead", {}, h("tr", {}, heads.map((one) => [one].flat()).map(([name, type = ""]) => h("th", { scope: "col", class: type }, name)))), body));

// A cell that says `many` of `all`, with the interval; kind: "good" or "bad" colours it.
export function shareCell(many, all, [low, high], kind) {
  if (!all) return h("td", {}, "–");
  const reach = h("span", { class: "reach" }), point = h("span", { class: "point" });
  Object.assign(reach.style, { left: `${100 * low}%`, width: `${100 * (high - low)}%` });
  point.style.left = `${(100 * many) / all}%`;
  return h("td", {}, h("span", { class: `interval ${kind}` }, reach, point), ` ${many} of ${all}, ${Math.round(100 * low)} to ${percent(high)}`);
}
