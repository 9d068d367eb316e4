// Which word follows which, as a picture: words on a circle, as large as their share of the steps, and an arrow for each frequent
// transition, as wide as its share; a word that follows itself has no arrow. On a phone the table below stands alone.

import { svg } from "./dom.js";

const WIDTH = 640, HEIGHT = 440, MIDDLE = [WIDTH / 2, HEIGHT / 2], REACH = [200, 168];
const ARROWS = 30;
const ROUNDING = 1e-9;

// "good": solved more often than all episodes are, beyond the interval; "bad": less often; "": cannot be told.
export function verdict({ interval }, overall) {
  if (!interval || overall === null) return "";
  return interval[0] > overall + ROUNDING ? "good" : interval[1] < overall - ROUNDING ? "bad" : "";
}

export function drawGraph({ nodes, edges }, overall) {
  const places = new Map(nodes.map(({ word, share }, i) => {
    const angle = (2 * Math.PI * i) / nodes.length - Math.PI / 2, radius = 6 + 26 * Math.sqrt(share);
    return [word, { x: MIDDLE[0] + REACH[0] * Math.cos(angle), y: MIDDLE[1] + REACH[1] * Math.sin(angle), radius, side: Math.cos(angle) }];
  }));
  const drawn = edges.filter(({ from, to }) => from !== to).slice(0, ARROWS), most = drawn[0]?.share ?? 1;
  const heads = ["", "good", "bad"].map((kind) => svg("marker", { id: `head-${kind}`, class: `head ${kind}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 9, markerHeight: 9,
    markerUnits: "userSpaceOnUse", orient: "auto" }, svg("path", { d: "M0 0 L8 4 L0 8 Z" })));
  return svg("svg", { class: "graph", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `What follows what among ${nodes.length} words; the table below says the same` },
    svg("defs", {}, heads),
    drawn.map((edge) => arrow(edge, places.get(edge.from), places.get(edge.to), verdict(edge, overall), edge.share / most)),
    nodes.map(({ word }) => node(word, places.get(word))));
}

function arrow({ from, to, share }, a, b, kind, width) {
  const [dx, dy] = [b.x - a.x, b.y - a.y], length = Math.hypot(dx, dy), bend = 0.14 * length;
  const [cx, cy] = [(a.x + b.x) / 2 - (dy / length) * bend, (a.y + b.y) / 2 + (dx / length) * bend];
  const towards = (place, gap) => {  // the edge of a word's circle, on the way to the bend
    const far = Math.hypot(cx - place.x, cy - place.y);
    return `${(place.x + ((cx - place.x) / far) * (place.radius + gap)).toFixed(1)} ${(place.y + ((cy - place.y) / far) * (place.radius + gap)).toFixed(1)}`;
  };
  return svg("path", { class: `edge ${kind}`, d: `M${towards(a, 1)} Q${cx.toFixed(1)} ${cy.toFixed(1)} ${towards(b, 3)}`, "stroke-width": (1 + 4 * width).toFixed(1),
    "stroke-opacity": (0.25 + 0.75 * width).toFixed(2), "marker-end": `url(#head-${kind})` }, svg("title", {}, `${from} → ${to}: ${(100 * share).toFixed(1)} % of the transitions`));
}

function node(word, { x, y, radius, side }) {
  const aside = Math.abs(side) > 0.3, anchor = aside ? (side > 0 ? "start" : "end") : "middle", below = y > MIDDLE[1] ? 1 : -1;
  const at = aside ? [x + Math.sign(side) * (radius + 6), y + 5] : [x, y + below * (radius + 12) + 4];
  return svg("g", { class: "node" }, svg("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: radius.toFixed(1) }),
    svg("text", { x: at[0].toFixed(1), y: at[1].toFixed(1), "text-anchor": anchor }, word.length > 14 ? `${word.slice(0, 13)}…` : word));
}
