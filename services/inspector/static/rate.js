// Steps per second of all listed episodes together, from one look at the list to the next.

const LEAST = 500;  // ms between two looks

export class Rate {
  constructor() { Object.assign(this, { value: null, seen: null }); }

  // episodes: Map of name -> episode.
  look(episodes) {
    const now = performance.now();
    if (this.seen && now - this.seen.now <= LEAST) return;
    const steps = new Map([...episodes].map(([id, one]) => [id, one.committed_step ?? -1]));
    if (this.seen) {
      const done = [...steps].reduce((sum, [id, step]) => sum + (this.seen.steps.has(id) ? Math.max(0, step - this.seen.steps.get(id)) : 0), 0);
      this.value = (1000 * done) / (now - this.seen.now);
    }
    this.seen = { now, steps };
  }
}
