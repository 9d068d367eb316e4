// Selects the page by the fragment (#) of the address.

import { button, h, problem, say } from "./dom.js";
import "./keys.js";

const PAGES = {
  "": ["Episodes", () => import("./list.js")],
  episode: ["Episode", () => import("./episode.js")],
  overview: ["Overview", () => import("./overview.js")],
  find: ["Find", () => import("./find.js")],
  archive: ["Archive", () => import("./archive.js")],
  words: ["Words", () => import("./words.js")],
  compare: ["Compare", () => import("./compare.js")],
  agents: ["Agents", () => import("./agents.js")],
  licences: ["Licences", () => import("./licences.js")],
};
const FIRST_WAIT = 1000, LONGEST_WAIT = 15_000;  // ms between two attempts to show a page
const PASSING = new Set([0, 429, 502, 503, 504]);  // statuses that may be others in a moment; 0: no answer at all
const main = document.getElementById("page");
let leaving = new AbortController();

async function show(wait = FIRST_WAIT) {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const [name = "", ...rest] = location.hash.replace(/^#\//, "").split("?")[0].split("/");
  const [title, load] = PAGES[name] ?? PAGES[""];
  const parts = rest.map(decodeURIComponent);
  document.title = [...(name === "episode" ? parts.slice(0, 1) : parts), title, "SHELM"].join(" · ");
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  say("");
  main.replaceChildren();
  try {
    await (await load()).show(main, signal, ...parts);
  } catch (error) {
    if (!signal.aborted) failed(error, wait, signal);
  }
}

// The page could not be shown: says why, and tries again, by itself if the cause may pass.
function failed(error, wait, signal) {
  const again = () => { clearTimeout(timer); show(Math.min(2 * wait, LONGEST_WAIT)); };
  const passes = PASSING.has(error.status);
  const timer = passes ? setTimeout(again, Math.max(wait, 1000 * (error.retryAfter ?? 0))) : null;
  signal.addEventListener("abort", () => clearTimeout(timer));
  main.replaceChildren(problem(error), h("p", { class: "tools" }, button("Try again", again), h("a", { href: "#/" }, "All episodes"),
    h("span", { class: "note" }, passes ? "It is tried again by itself." : error.status === 404 ? "It may have expired; what has ended is perhaps in the archive." : "")));
}

addEventListener("hashchange", () => { show(); main.focus(); });
show();
