// The frames of one episode, if the server records frames. Each is asked for once; the latest KEPT are held.
// Failure policy: a missing frame is null, and is asked for again later, because it is written shortly after its step. `none`
// is true once the server has said that it records no frames at all.

import { getFrame } from "./api.js";

const KEPT = 200;

export class Frames {
  constructor(episodeId, signal) {
    Object.assign(this, { episodeId, signal, none: false });
    this.urls = new Map();  // step -> promise of a blob: address, or of null
    signal.addEventListener("abort", () => { for (const step of this.urls.keys()) this.drop(step); });
  }

  // The address of a step's frame; null if there is none.
  get(step) {
    if (this.none) return Promise.resolve(null);
    if (!this.urls.has(step)) {
      this.urls.set(step, this.read(step));
      if (this.urls.size > KEPT) this.drop(this.urls.keys().next().value);
    }
    return this.urls.get(step);
  }

  async read(step) {
    const blob = await getFrame(this.episodeId, step, this.signal).catch(() => null);
    if (blob === false) this.none = true;
    if (blob && !this.signal.aborted) return URL.createObjectURL(blob);
    this.urls.delete(step);
    return null;
  }

  drop(step) {
    this.urls.get(step).then((url) => url && URL.revokeObjectURL(url));
    this.urls.delete(step);
  }
}
