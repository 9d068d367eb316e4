// Episodes by what they saw, running, ended or archived; and what those that were solved saw and those that failed did not.
// Contract: the address holds the question and which of the two answers is shown; a new question ends the one before it.

import { asked, hold, place } from "./address.js";
import { compareOutcomes, getAgents, searchEpisodes } from "./api.js";
import { button, h, problem } from "./dom.js";
import { age, agentLink, link, outcome, reward } from "./format.js";
import { drawOutcomes } from "./outcomes.js";
import { Question } from "./question.js";
import { wideTable } from "./shares.js";

const PAGE = 25, COMPARED = 20;  // episodes; words, and as many transitions
const EMPTY_PAGES = 20;  // read one after the other, before a person is asked whether to go on
const COLUMNS = ["Episode", "First seen", ["Steps", "steps"], ["Reward", "reward"], "Outcome", ["Agent", "more"], ["Began", "more"]];

// saw: the words that were asked for, of which each has its step.
function row({ episode, seen_steps: steps }, saw) {
  const result = outcome(episode), at = (step) => `${link(episode.episode_id)}/${step}`;
  const seen = saw.map(({ word }, i) => [i ? ", " : "", h("a", { href: at(steps[i]) }, `${word} at ${steps[i]}`)]);
  return h("tr", { class: result }, h("th", { scope: "row" }, h("a", { href: steps.length ? at(steps[0]) : link(episode.episode_id) }, episode.episode_id)),
    h("td", {}, seen.flat()), h("td", { class: "steps" }, String(episode.committed_step === null ? 0 : episode.committed_step + 1)), h("td", { class: "reward" }, reward(episode)),
    h("td", {}, h("span", { class: `badge ${result}` }, result === "unknown" ? "ended" : result)), h("td", { class: "more" }, h("a", { href: agentLink(episode.agent_digest) }, episode.agent)),
    h("td", { class: "more", title: new Date(episode.create_time).toLocaleString() }, `${age(Date.now() - episode.create_time)} ago`));
}

export async function show(main, signal) {
  const question = new Question(await getAgents(signal), asked(), signal, () => run("episodes"));
  const output = h("div", { class: "answer" });
  let own = new AbortController();
  signal.addEventListener("abort", () => own.abort());
  question.element.append(h("div", { class: "tools" }, h("button", { class: "main" }, "Search"), button("Success against failure", () => run("outcomes"))));
  main.append(h("h1", {}, "Find episodes"), question.element, output);
  if (asked().size) await run(asked().get("answer"));
  else output.append(h("p", { class: "note" }, "Among all episodes, running, ended and archived: which saw a word? For example ball before step 5, failed. Words are those of the agent, whole and exactly; the fields offer them."));

  async function run(answer) {
    own.abort();
    own = new AbortController();
    const { signal: current } = own, wrong = question.wrong();
    if (wrong) { output.replaceChildren(problem({ message: wrong })); return; }
    const kind = answer === "outcomes" ? answer : "episodes";
    hold({ ...question.values(), answer: kind });
    output.replaceChildren(h("p", { class: "note", role: "status" }, kind === "outcomes" ? "Counting ..." : "Searching ..."));
    try {
      await (kind === "outcomes" ? outcomes(current) : episodes(current));
    } catch (error) {
      if (current.aborted) return;
      output.replaceChildren(problem(error), h("p", { class: "note" }, error.status === 400 ? "Change what it names, and search again." : "Search tries it again."));
    }
  }

  async function episodes(current) {
    const request = question.request(), body = h("tbody"), note = h("p", { class: "note", role: "status" }), more = button("More", next), unreadable = [];
    let token = "";
    const found = await pages();
    output.replaceChildren(note, wideTable("Found episodes", COLUMNS, body, "episodes"), more);
    paint(found);

    // The next page that has something on it.
    async function pages() {
      for (let tries = EMPTY_PAGES; ; tries--) {
        const page = await searchEpisodes({ ...request, page_size: PAGE, page_token: token }, current);
        token = page.next;
        unreadable.push(...page.damaged);
        if (page.episodes.length || !token || tries === 1) return page.episodes;
      }
    }

    function paint(some) {
      body.append(...some.map((one) => row(one, request.saw)));
      const many = body.children.length;
      const told = many ? `${many} episode${many === 1 ? "" : "s"}${token ? ", and perhaps more" : ""}, the newest first, archived ones after the others.`
        : token ? "None so far; More looks further." : "No episode is like this. Take away a word or a filter, or write the word as the agent's vocabulary has it.";
      note.textContent = told + (unreadable.length ? ` Damaged, so not looked at: ${unreadable.join(", ")}.` : "");
      body.closest(".wide").hidden = !many;
      more.hidden = !token;
    }

    async function next() {
      more.disabled = true;
      try {
        paint(await pages());
      } catch (error) {
        if (!current.aborted) note.textContent = `${error.message} More tries it again.`;
      } finally {
        more.disabled = false;
      }
    }
  }

  async function outcomes(current) {
    const request = question.request(), values = question.values();
    const reply = await compareOutcomes({ ...request, filter: { ...request.filter, outcome: undefined }, limit: COMPARED }, current);
    output.replaceChildren(values.outcome ? h("p", { class: "note" }, "Both outcomes are counted, whatever is chosen above.") : "", ...drawOutcomes(reply, (word) => place("#/find", { ...values, saw: [...values.saw, word], answer: "episodes" })));
  }
}
