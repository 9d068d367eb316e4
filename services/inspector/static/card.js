// A model card as elements: the part of Markdown that cards use (headings, paragraphs, tables, lists, code). All text is
// inserted as text; links that are no web addresses are their text alone.

import { h } from "./dom.js";

const INLINE = /`([^`]+)`|\[([^\]]+)\]\(([^)\s]+)\)|\*\*([^*]+)\*\*/g;

function inline(text) {
  const parts = [];
  let from = 0;
  for (const found of text.matchAll(INLINE)) {
    const [all, code, label, address, strong] = found;
    parts.push(text.slice(from, found.index));
    if (code) parts.push(h("code", {}, code));
    else if (strong) parts.push(h("strong", {}, strong));
    else parts.push(/^https?:\/\//.test(address) ? h("a", { href: address, rel: "noreferrer" }, ...inline(label)) : h("span", {}, ...inline(label)));
    from = found.index + all.length;
  }
  return [...parts, text.slice(from)];
}

const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());

function table(lines) {
  const [head, , ...rows] = lines.map(cells);
  return h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": `Table: ${head.filter(Boolean).join(", ")}` }, h("table", {},
    h("thead", {}, h("tr", {}, head.map((cell) => (cell ? h("th", { scope: "col" }, ...inline(cell)) : h("td"))))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell) => h("td", {}, ...inline(cell))))))));
}

function block(lines) {
  const heading = /^(#{1,6}) (.*)/.exec(lines[0]);
  if (heading) return [h(heading[1].length < 2 ? "h2" : "h3", {}, ...inline(heading[2])), ...(lines.length > 1 ? block(lines.slice(1)) : [])];
  if (lines[0].startsWith("|") && lines.length > 1) return [table(lines)];
  if (lines[0].startsWith("- ")) return [h("ul", {}, lines.join("\n").split(/\n(?=- )/).map((item) => h("li", {}, ...inline(item.slice(2)))))];
  return [h("p", {}, ...inline(lines.join(" ")))];
}

// Blocks of lines: paragraphs, and what stands between ``` and ```.
function blocks(text) {
  return text.replaceAll("\r", "").split(/^(```[\s\S]*?^```)/m).flatMap((part) => (part.startsWith("```")
    ? [{ code: part.split("\n").slice(1, -1).join("\n") }]
    : part.split(/\n\s*\n/).map((one) => one.split("\n").filter((line) => line.trim())).filter((lines) => lines.length).map((lines) => ({ lines }))));
}

export const drawCard = (text) => blocks(text).flatMap(({ code, lines }) => (lines ? block(lines) : [h("pre", { tabindex: "0" }, code)]));

// What the card says of words that are mistaken for others; empty if nothing.
export const confusions = (text) => blocks(text).filter(({ lines }) => lines && /^known confusions/i.test(lines[0])).flatMap(({ lines }) => block(lines));
