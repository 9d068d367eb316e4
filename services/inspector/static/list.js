// The live list of episodes. It is filtered, sorted and paged here, because the server sends the whole list and its changes.
// Contract: filters and order are in the address; episodes may be chosen, to compare them or to count their words.

import { asked, hold as keep } from "./address.js";
import { getAgents, keepList } from "./api.js";
import { MOST } from "./comparemany.js";
import { button, h, problem, say, throttle } from "./dom.js";
import { isState, outcome } from "./format.js";
import { COLUMNS, ListRow } from "./listrow.js";
import { Peek, STEPS } from "./peek.js";
import { Rate } from "./rate.js";

const PAGE = 25;  // episodes
const SEARCHED = 200;  // episodes whose words are looked at when a word is asked for
const STATES = { all: "all", running: "running", silent: "silent", ended: "ended", solved: "solved", failed: "failed", unknown: "outcome unknown" };
const ORDERS = {
  age: (a, b) => b.create_time - a.create_time, heard: (a, b) => b.update_time - a.update_time, steps: (a, b) => (b.committed_step ?? -1) - (a.committed_step ?? -1),
  reward: (a, b) => (b.total_reward ?? -Infinity) - (a.total_reward ?? -Infinity) || 0,
  name: (a, b) => a.episode_id.localeCompare(b.episode_id, undefined, { numeric: true }),
  outcome: (a, b) => outcome(a).localeCompare(outcome(b)), agent: (a, b) => a.agent.localeCompare(b.agent),
};

const RISING = new Set(["age", "heard", "name", "outcome", "agent"]);  // smallest first, unless turned round

export async function show(main, signal) {
  const episodes = new Map(), spaces = new Map();  // digest -> action space
  const rows = new Map(), chosen = new Set();
  const given = asked();
  let page = 0, more = false, loaded = false, order = ORDERS[given.get("sort")] ? given.get("sort") : "age", turned = given.has("up");
  const rate = new Rate();

  const filter = h("input", { type: "search", placeholder: "name or agent", "aria-label": "Filter by name or agent", value: given.get("name") ?? "" });
  const word = h("input", { type: "search", placeholder: "word", "aria-label": "Filter by word", value: given.get("word") ?? "", spellcheck: "false" });
  const which = h("select", { "aria-label": "Filter by state" }, Object.entries(STATES).map(([value, text]) => h("option", { value }, text)));
  which.value = STATES[given.get("state")] ? given.get("state") : "all";
  const before = button("Previous", () => turn(-1)), after = button("Next", () => turn(1));
  const place = h("span", { class: "place" }), counters = h("p", { class: "facts-line counters" }), note = h("p", { class: "note" });
  const bulk = h("div", { class: "tools bulk", hidden: true });
  const body = h("tbody");
  const heads = COLUMNS.map(({ name, sort, kind }) => h("th", { scope: "col", class: kind }, sort ? button(name, () => sortBy(sort), { class: "sort" }) : h("span", { class: kind === "pick" ? "hidden-text" : "" }, name)));
  main.append(h("h1", {}, "Episodes"), counters, h("div", { class: "tools filters" }, filter, word, which, before, place, after, h("a", { href: "#/find" }, "Find by words, also archived")), bulk, note,
    h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Episodes" },
      h("table", { class: "episodes" }, h("thead", {}, h("tr", {}, heads)), body)));

  const draw = throttle(paint, 200);
  const peek = new Peek(signal, (id) => { if (word.value) draw(); else if (rows.has(id)) rows.get(id).fill(episodes.get(id), peek.get(id)); });
  for (const input of [filter, word, which]) input.addEventListener("input", () => { page = 0; paint(); hold(); });

  function turn(by) { page += by; paint(); }

  function sortBy(name) {
    turned = order === name && !turned;
    order = name;
    paint();
    hold();
  }

  // The address holds what is filtered and how it is sorted.
  function hold() {
    keep({ name: filter.value, word: word.value, state: which.value === "all" ? "" : which.value, sort: order === "age" ? "" : order, up: turned ? "1" : "" });
  }

  function found() {
    const text = filter.value.trim().toLowerCase(), sign = turned ? -1 : 1;
    return [...episodes.values()].filter((one) => isState(one, which.value))
      .filter((one) => !text || `${one.episode_id}\n${one.agent}`.toLowerCase().includes(text))
      .sort((a, b) => sign * ORDERS[order](a, b) || b.create_time - a.create_time || (a.episode_id < b.episode_id ? -1 : 1));
  }

  function paint() {
    const candidates = found(), wanted = word.value.trim().toLowerCase();
    const searched = candidates.slice(0, SEARCHED);
    const all = wanted ? searched.filter((one) => [...(peek.get(one.episode_id)?.words ?? [])].some((text) => text.toLowerCase() === wanted)) : candidates;
    const pages = Math.max(1, Math.ceil(all.length / PAGE));
    page = Math.min(pages - 1, Math.max(0, page));
    const shown = all.slice(page * PAGE, (page + 1) * PAGE);
    place.textContent = `${all.length} episodes, page ${page + 1} of ${pages}`;
    before.disabled = page === 0;
    after.disabled = page === pages - 1;
    heads.forEach((head, i) => { if (COLUMNS[i].sort === order) head.setAttribute("aria-sort", turned === RISING.has(order) ? "descending" : "ascending"); else head.removeAttribute("aria-sort"); });
    note.textContent = message(all, searched, candidates, wanted);
    const names = new Set(shown.map((one) => one.episode_id));
    for (const [name, row] of rows) if (!names.has(name)) { row.element.remove(); rows.delete(name); }
    shown.forEach((one, i) => {
      const row = rows.get(one.episode_id) ?? newRow(one);
      row.fill(one, peek.get(one.episode_id));
      if (body.children[i] !== row.element) body.insertBefore(row.element, body.children[i] ?? null);
    });
    paintCounters();
    if (wanted) peek.want([...shown, ...searched], shown.length);
    else peek.want(shown, PAGE);
  }

  function message(all, searched, candidates, wanted) {
    if (!loaded) return "Loading ...";
    if (!episodes.size) return "No episode yet. It appears here with its first step: `shelm play` makes one.";
    if (wanted) {
      const read = searched.filter((one) => peek.get(one.episode_id) || one.committed_step === null).length;
      return `The word is looked for in the last ${STEPS} steps of ${candidates.length > SEARCHED ? `the first ${SEARCHED} of ` : ""}${candidates.length} episodes; ${read} are read.`;
    }
    if (!all.length) return "No episode is like this: change the filters.";
    return more ? `Only the first ${episodes.size} episodes that the server named are here.` : "";
  }

  function paintCounters() {
    const all = [...episodes.values()], many = (state) => all.filter((one) => isState(one, state)).length;
    const solved = many("solved"), told = solved + many("failed"), away = many("silent");
    counters.textContent = loaded ? [`${many("running")} running${away ? `, ${away} of them silent` : ""}`, `${many("ended")} ended`,
      ...(told ? [`${solved} of ${told} solved (${Math.round((100 * solved) / told)} %)`] : []), ...(rate.value === null ? [] : [`${rate.value.toFixed(1)} steps/s`])].join(" · ") : "";
  }

  function newRow(one) {
    const row = new ListRow(one, spaces, chosen.has(one.episode_id), (on) => { if (on) chosen.add(one.episode_id); else chosen.delete(one.episode_id); paintBulk(); });
    rows.set(one.episode_id, row);
    return row;
  }

  function paintBulk() {
    const names = [...chosen].map(encodeURIComponent).join("/");
    bulk.hidden = !chosen.size;
    bulk.replaceChildren(h("span", {}, `${chosen.size} chosen`), button("Compare", () => { location.hash = `#/compare/${names}`; }, { disabled: chosen.size < 2 || chosen.size > MOST, title: `two to ${MOST} episodes, step by step` }),
      button("Count their words", () => { location.hash = `#/words/${names}`; }),
      button("None", () => { chosen.clear(); rows.forEach((row) => row.clear()); paintBulk(); }));
  }

  const ticking = setInterval(() => { rate.look(episodes); draw(); }, 2000);  // ages, silence, and words that were not due before
  signal.addEventListener("abort", () => { clearInterval(ticking); draw.cancel(); });
  paint();
  await keepList({
    episodes(news) {
      loaded = true;
      if (news.all) episodes.clear();
      news.removed.forEach((name) => { episodes.delete(name); peek.forget(name); });
      news.changed.forEach((one) => episodes.set(one.episode_id, one));
      more = news.more;
      if (!spaces.size) getAgents(signal).then((all) => { all.forEach((one) => spaces.set(one.digest, one.action_space)); draw(); }, () => {});
      draw();
    },
    state(text, error) {
      if (text === "refused") main.replaceChildren(problem(error));
      if (text === "retrying" && !loaded) note.textContent = `${error?.message ?? "The connection is lost"}; it is tried again by itself.`;
      say(text === "live" ? "" : error ? `${error.message} Trying again.` : "Connection lost. Trying again.");
    },
  }, signal);
}
