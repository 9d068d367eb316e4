// How much memory mattered at each step: the largest change of the action distribution when one word is taken away.
// Contract: one step is asked for at a time, those whose memory is shortest first, and equally long ones spread over the
// episode; between two calls it waits twice as long as the last one took, so that agents that act are barely slower. It rests
// while the tab is hidden, and stops when the page is left. What is known is kept while the tab is open.
// Failure policy: a step that cannot be explained has no influence here; after FAILURES in a row it stops.

import { explain, rest } from "./api.js";

export const THRESHOLD = 0.05;  // total variation distance; below it a word or step is said not to have decided anything
const FAILURES = 3, LEAST_WAIT = 200;  // ms
const known = new Map();  // episode and its creation -> Map of step -> influence

export const largest = (reply) => Math.max(0, ...reply.words.map((one) => one.change), ...reply.steps.map((one) => one.change));

// The words that decided a step: word -> change.
export const deciding = (reply) =>
  new Map(reply.words.filter((one) => one.change >= THRESHOLD).map((one) => [one.tokens[0]?.text, one.change]));

const reversed = (n) => Number.parseInt([...n.toString(2).padStart(20, "0")].reverse().join(""), 2);

export class Influence {
  // changed(): called when more is known. words: how many words a step's memory reaches back.
  constructor(episode, words, signal, changed) {
    Object.assign(this, { id: episode.episode_id, words, signal, changed, on: false });
    const key = `${episode.episode_id} ${episode.create_time}`;
    if (!known.has(key)) known.set(key, new Map());
    this.values = known.get(key);
    signal.addEventListener("abort", () => { this.on = false; });
  }

  note(step, value) {
    this.values.set(step, value);
    this.changed();
  }

  // steps(): the steps there are.
  async start(steps) {
    if (this.on) return;
    this.on = true;
    let failures = 0;
    this.changed();
    while (this.on && failures < FAILURES) {
      const next = this.next(steps());
      if (next === undefined) break;
      const began = performance.now();
      try {
        if (document.hidden) await rest(1000);
        else { this.note(next, largest(await explain(this.id, next, this.signal, 1))); failures = 0; }
      } catch (error) {
        if (this.signal.aborted) return;
        if (error.retryAfter) await rest(1000 * error.retryAfter);
        else this.values.set(next, null);
        failures += 1;
      }
      await rest(Math.max(LEAST_WAIT, 2 * (performance.now() - began)));
    }
    this.on = false;
    this.changed();
  }

  stop() {
    this.on = false;
    this.changed();
  }

  next(steps) {
    const cost = (i) => Math.min(i * steps[i].tokens.length, this.words);
    const open = steps.flatMap((step, i) => (this.values.has(step.step) ? [] : [i]));
    const best = open.reduce((a, b) => (a === undefined || cost(b) < cost(a) || (cost(b) === cost(a) && reversed(b) < reversed(a)) ? b : a), undefined);
    return best === undefined ? undefined : steps[best].step;
  }
}
