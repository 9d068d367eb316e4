// What the list shows of an episode beyond its entry: its last values and words, and the frame of its last step.
// Contract: of the episodes that are wanted, one is read at a time: first its last STEPS steps, and then, at most every AGAIN
// ms, the newest NEWS of those that have come, with a REST after each. So the cost does not grow with the number of episodes,
// nor with their speed: of an agent that is faster than that, some steps are left out.
// Failure policy: what has expired is left out; other errors are said, and it is tried again at the next `want`.

import { getFrame, getMemory, rest } from "./api.js";
import { say } from "./dom.js";

export const STEPS = 200;
const NEWS = 10;  // steps
const AGAIN = 4000, FRAME_AGAIN = 30_000, REST = 400;  // ms; REST: after each episode that was read again

export class Peek {
  // changed(episode id): called when more is known.
  constructor(signal, changed) {
    Object.assign(this, { signal, changed, reading: false, frames: true });
    this.known = new Map();  // episode -> {step, values, words, last, at, url, frameStep, frameAt}
    signal.addEventListener("abort", () => this.known.forEach((one) => one.url && URL.revokeObjectURL(one.url)));
  }

  get(id) { return this.known.get(id); }

  forget(id) {
    const one = this.known.get(id);
    if (one?.url) URL.revokeObjectURL(one.url);
    this.known.delete(id);
  }

  // Reads what is due of these episodes, in their order. withFrames: of how many of them the last frame is shown.
  async want(episodes, withFrames) {
    if (this.reading) return;
    this.reading = true;
    try {
      for (const [i, one] of episodes.entries()) {
        if (one.committed_step === null || this.signal.aborted) continue;
        const again = this.known.has(one.episode_id), words = await this.words(one), frame = i < withFrames && await this.frame(one);
        if (words || frame) this.changed(one.episode_id);
        if (again && words) await rest(REST);
      }
    } catch (error) {
      if (!this.signal.aborted) say(error.message);
    } finally {
      this.reading = false;
    }
  }

  async words({ episode_id: id, committed_step: last }) {
    const now = Date.now(), old = this.known.get(id);
    if (old && (old.step === last || now - old.at < AGAIN)) return false;
    const from = Math.max(0, last + 1 - (old ? NEWS : STEPS), (old?.step ?? -1) + 1);
    const steps = await getMemory(id, from, STEPS, this.signal).catch((error) => {
      if (error.status === 404 || error.status === 410) return [];  // it has just expired
      throw error;
    });
    const values = [...(old?.values ?? []), ...steps.map((step) => step.value)].slice(-STEPS);
    const words = new Set(old?.words);
    for (const step of steps) for (const { text } of step.tokens) words.add(text);
    this.known.set(id, { ...old, step: steps.at(-1)?.step ?? last, values, words, last: steps.at(-1) ?? old?.last, at: now });
    return true;
  }

  async frame({ episode_id: id, committed_step: last }) {
    const now = Date.now(), old = this.known.get(id);
    if (!this.frames || !old || old.frameStep === last || now - (old.frameAt ?? 0) < FRAME_AGAIN) return false;
    Object.assign(old, { frameStep: last, frameAt: now });
    const blob = await getFrame(id, last, this.signal).catch(() => null);
    if (blob === false) this.frames = false;
    if (!blob) return false;
    if (old.url) URL.revokeObjectURL(old.url);
    old.url = URL.createObjectURL(blob);
    return true;
  }
}
