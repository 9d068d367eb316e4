// The menu of files: the episode as the server's `shelm export` makes it, and the timeline as a picture.
// Contract: one file is made at a time; the menu says so meanwhile, and stays as it is when the page is left.

import { getFile, getOffers } from "./api.js";
import { button, h, say } from "./dom.js";

const NAMES = { jsonl: "JSON lines", csv: "CSV", gif: "GIF", mp4: "MP4", rrd: "Rerun" };
const MEANT = { jsonl: "a step a line", csv: "a step a row, for spreadsheets", gif: "a film: frames with words and actions", mp4: "a film: frames with words and actions", rrd: "a recording for the Rerun viewer" };

function save(name, blob) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// picture(): the timeline as a PNG blob, or null while there is none.
export function exportMenu(episodeId, picture, signal) {
  const items = h("div", { class: "items", role: "group", "aria-label": "Files" });
  const menu = h("details", { class: "menu" }, h("summary", {}, "Export"), items);
  const close = (event) => { if (event.key === "Escape" || (event.type === "click" && !menu.contains(event.target))) menu.open = false; };
  for (const kind of ["click", "keydown"]) document.addEventListener(kind, close, { signal });

  async function make(format) {
    for (const one of items.children) one.disabled = true;
    say(`Making ${NAMES[format]} ...`);
    try {
      save(`${episodeId}.${format}`, await getFile(episodeId, format, signal));
      say(`${NAMES[format]} is saved.`);
      menu.open = false;
    } catch (error) {
      if (!signal.aborted) say(error.message);
    } finally {
      for (const one of items.children) one.disabled = false;
    }
  }

  const chart = async () => { const blob = await picture(); if (blob) save(`${episodeId}.png`, blob); menu.open = false; };
  const fill = (formats) => items.replaceChildren(...formats.map((one) => button(NAMES[one] ?? one, () => make(one), { title: MEANT[one] })),
    button("PNG", chart, { title: "the timeline as a picture" }));
  fill([]);
  getOffers().then(({ exports }) => fill(exports), () => {});
  return menu;
}
