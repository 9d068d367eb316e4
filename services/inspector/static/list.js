// The live list of episodes, newest first. It is filtered and paged here, because the server sends the whole list and its changes.

import { getAgents, getMemory, keepList } from "./api.js";
import { button, h, problem, say, throttle } from "./dom.js";
import { action, age, link, reward, state, words } from "./format.js";

const PAGE = 25;  // episodes
const WORDS_EVERY = 4000;  // ms between two reads of the last words of one episode
const COLUMNS = ["Episode", "Agent", "Steps", "Age", "State", "Reward", "Last words"];

export async function show(main, signal) {
  const episodes = new Map();
  const spaces = new Map();  // digest -> action space
  const rows = new Map();
  const lastWords = new Map();  // episode -> {step, text, at}
  let page = 0, more = false;

  const filter = h("input", { type: "search", placeholder: "name or agent", "aria-label": "Filter by name or agent" });
  const which = h("select", { "aria-label": "Filter by state" },
    ...["all", "running", "ended"].map((value) => h("option", { value }, value)));
  const before = button("Newer", () => turn(-1)), after = button("Older", () => turn(1));
  const place = h("span", { class: "place" });
  const body = h("tbody");
  const note = h("p", { class: "note" });
  const table = h("table", { class: "episodes" },
    h("thead", {}, h("tr", {}, COLUMNS.map((name) => h("th", { scope: "col" }, name)))), body);
  main.append(h("h1", {}, "Episodes"), h("div", { class: "tools" }, filter, which, before, place, after), note,
    h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Episodes" }, table));

  function turn(by) { page += by; draw(); }
  const draw = throttle(paint, 200);
  for (const input of [filter, which]) input.addEventListener("input", () => { page = 0; paint(); });

  function chosen() {
    const text = filter.value.trim().toLowerCase();
    return [...episodes.values()]
      .filter((one) => which.value === "all" || state(one) === which.value)
      .filter((one) => !text || `${one.episode_id}\n${one.agent}`.toLowerCase().includes(text))
      .sort((a, b) => b.create_time - a.create_time || (a.episode_id < b.episode_id ? -1 : 1));
  }

  function paint() {
    const all = chosen(), pages = Math.max(1, Math.ceil(all.length / PAGE));
    page = Math.min(pages - 1, Math.max(0, page));
    const shown = all.slice(page * PAGE, (page + 1) * PAGE);
    place.textContent = `${all.length} episodes, page ${page + 1} of ${pages}`;
    before.disabled = page === 0;
    after.disabled = page === pages - 1;
    note.textContent = more ? `Only the first ${episodes.size} episodes that the server named are here.`
      : all.length ? "" : "No episode yet. It appears here with its first step.";
    const names = new Set(shown.map((one) => one.episode_id));
    for (const [name, row] of rows) if (!names.has(name)) { row.remove(); rows.delete(name); }
    shown.forEach((one, i) => {
      const row = rows.get(one.episode_id) ?? newRow(one);
      fill(row, one);
      if (body.children[i] !== row) body.insertBefore(row, body.children[i] ?? null);
    });
    fetchWords(shown);
  }

  function newRow(one) {
    const row = h("tr", {}, h("th", { scope: "row" }, h("a", { href: link(one.episode_id) }, one.episode_id)),
      COLUMNS.slice(1).map(() => h("td")));
    rows.set(one.episode_id, row);
    return row;
  }

  function fill(row, one) {
    const steps = one.committed_step === null ? 0 : one.committed_step + 1;
    const texts = [one.agent, steps, age(Date.now() - one.create_time), state(one), reward(one),
      lastWords.get(one.episode_id)?.text ?? ""];
    texts.forEach((text, i) => {
      const cell = row.children[i + 1];
      if (cell.textContent !== String(text)) cell.textContent = text;
    });
  }

  let fetching = false;
  async function fetchWords(shown) {
    if (fetching) return;
    fetching = true;
    try {
      for (const one of shown) {
        const known = lastWords.get(one.episode_id);
        const due = one.committed_step !== null && known?.step !== one.committed_step;
        if (!due || (known && Date.now() - known.at < WORDS_EVERY)) continue;
        const [step] = await getMemory(one.episode_id, one.committed_step, 1, signal);
        const done = step && action(step.action, spaces.get(one.agent_digest));
        const text = step ? (step.tokens.length ? `${words(step)} → ${done}` : done) : "";
        lastWords.set(one.episode_id, { step: one.committed_step, text, at: Date.now() });
        if (rows.has(one.episode_id)) fill(rows.get(one.episode_id), one);
      }
    } catch (error) {
      if (!signal.aborted && error.status !== 404) say(error.message);  // 404: it has just expired
    } finally {
      fetching = false;
    }
  }

  const ticking = setInterval(draw, 2000);  // ages, and words that were not due before
  signal.addEventListener("abort", () => { clearInterval(ticking); draw.cancel(); });
  await keepList({
    episodes(news) {
      if (news.all) episodes.clear();
      news.removed.forEach((name) => { episodes.delete(name); lastWords.delete(name); });
      news.changed.forEach((one) => episodes.set(one.episode_id, one));
      more = news.more;
      if (!spaces.size) getAgents(signal).then((all) => all.forEach((one) => spaces.set(one.digest, one.action_space)), () => {});
      draw();
    },
    state(text, error) {
      if (text === "refused") main.replaceChildren(problem(error));
      say(text === "live" ? "" : error ? `${error.message} Trying again.` : "Connection lost. Trying again.");
    },
  }, signal);
}
