// Success against failure: words and transitions with the shares of solved and of failed episodes that saw them (CompareOutcomes).

import { h } from "./dom.js";
import { shareCell, wideTable } from "./shares.js";

const HEADS = ["Of the solved", "Of the failed"];

// The cells of both shares; coloured where their intervals are apart.
function cells({ of_succeeded: solved, of_failed: failed }) {
  const apart = solved.low > failed.high ? ["good", ""] : failed.low > solved.high ? ["", "bad"] : ["", ""];
  return [solved, failed].map((one, i) => shareCell(one.count, one.total, [one.low, one.high], apart[i]));
}

// wordLink(word): the address of the same question about episodes that also saw the word.
export function drawOutcomes({ succeeded, failed, partial, words, transitions }, wordLink) {
  const note = h("p", { class: "note", role: "status" });
  if (!succeeded && !failed) {
    note.textContent = "No episode that is like this has a known outcome: take something away from the question. A client tells the outcome with total_reward when it ends an episode.";
    return [note];
  }
  note.textContent = `${succeeded} solved, ${failed} failed${partial ? "; more ended than could be counted" : ""}. How many of each saw a word, the most different first. `
    + "Intervals: 95 %, Wilson's, which take episodes for independent; coloured where the two are apart.";
  const wordRows = words.map((one) => h("tr", {}, h("th", { scope: "row" }, h("a", { href: wordLink(one.word) }, one.word)), cells(one)));
  const pairRows = transitions.map((one) => h("tr", {}, h("th", { scope: "row" }, `${one.word} → ${one.next_word === one.word ? "itself" : one.next_word}`), cells(one)));
  return [note, wideTable("Words by outcome", ["Word", ...HEADS], h("tbody", {}, wordRows)),
    h("h2", {}, "Which word followed which"), wideTable("Transitions by outcome", ["From one step to the next", ...HEADS], h("tbody", {}, pairRows))];
}
