// Episodes that have ended and are in the server's archive, a page at a time, in no particular order.

import { getArchive } from "./api.js";
import { button, h } from "./dom.js";
import { link, reward } from "./format.js";

const COLUMNS = ["Episode", "Agent", "Steps", "Began", "Reward"];

function row(one) {
  const steps = one.committed_step === null ? 0 : one.committed_step + 1;
  const texts = [one.agent, steps, new Date(one.create_time).toLocaleString(), reward(one)];
  return h("tr", {}, h("th", { scope: "row" }, h("a", { href: link(one.episode_id) }, one.episode_id)),
    texts.map((text) => h("td", {}, String(text))));
}

export async function show(main, signal) {
  const body = h("tbody"), note = h("p", { class: "note" });
  const table = h("table", { class: "episodes" },
    h("thead", {}, h("tr", {}, COLUMNS.map((name) => h("th", { scope: "col" }, name)))), body);
  const more = button("More", () => next());
  let after = "";
  main.append(h("h1", {}, "Archive"), h("p", { class: "tools" }, h("a", { href: "#/find?state=ended" }, "Find by words, agent, outcome or name")), note,
    h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Archived episodes" }, table), more);

  async function next() {
    more.disabled = true;
    try {
      const page = await getArchive(after, signal);
      body.append(...page.episodes.map(row));
      after = page.next;
      more.hidden = !after;
      note.textContent = body.children.length ? "" : "The archive is empty. An episode comes here when it has ended.";
    } catch (error) {
      if (signal.aborted) return;
      more.hidden = error.reason === "ARCHIVE_OFF";
      note.textContent = error.message;
    } finally {
      more.disabled = false;
    }
  }

  await next();
}
