// Selects the page by the fragment (#) of the address.

import { problem, say } from "./dom.js";
import "./keys.js";

const PAGES = {
  "": ["Episodes", () => import("./list.js")],
  episode: ["Episode", () => import("./episode.js")],
  archive: ["Archive", () => import("./archive.js")],
  words: ["Words", () => import("./words.js")],
  compare: ["Compare", () => import("./compare.js")],
  licences: ["Licences", () => import("./licences.js")],
};
const main = document.getElementById("page");
let leaving = new AbortController();

async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const [name = "", ...rest] = location.hash.replace(/^#\//, "").split("/");
  const [title, load] = PAGES[name] ?? PAGES[""];
  const parts = rest.map(decodeURIComponent);
  document.title = ["Memories", title, ...parts].join(" · ");
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  say("");
  main.replaceChildren();
  try {
    await (await load()).show(main, signal, ...parts);
  } catch (error) {
    if (!signal.aborted) main.replaceChildren(problem(error));
  }
}

addEventListener("hashchange", () => { show(); main.focus(); });
show();
