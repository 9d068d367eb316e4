// The frame of a step, large, and what moves through the steps: play and pause, speed, a scrubber, a field for a number.
// Contract: `mode` is "paused", "playing" (step by step, at the chosen speed) or "following" (always the newest step). Playing
// turns into following at the newest step of a running episode, and into a pause at the last one of an ended episode.

import { button, h } from "./dom.js";

const SPEEDS = [1, 2, 4, 8, 16, 32];  // steps per second

export class Player {
  // frames: Frames. on: {count(), selected(), stepAt(i), running(), select(i), go(step), changed()}.
  constructor(frames, on, signal) {
    Object.assign(this, { frames, on, mode: "following", unseen: 0 });
    this.image = h("img", { class: "frame", alt: "", hidden: true });
    this.absent = h("p", { class: "absent" });
    this.toggle = button("", () => this.flip(), { class: "play" });
    this.follow = button("", () => this.set("following"), { class: "follow" });
    this.speed = h("select", { "aria-label": "Steps per second" }, SPEEDS.map((n) => h("option", { value: n }, `${n} /s`)));
    this.speed.value = "4";
    this.goal = h("input", { type: "number", min: 0, step: 1, id: "goal", "aria-label": "Go to step", placeholder: "step" });
    this.scrubber = h("input", { type: "range", class: "scrubber", min: 0, max: 0, step: 1, value: 0, "aria-label": "Step",
      oninput: () => on.select(Number(this.scrubber.value)) });
    this.goal.addEventListener("change", () => { if (this.goal.value !== "") on.go(Number(this.goal.value)); });
    this.element = h("section", { class: "player", "aria-label": "Frame" }, h("div", { class: "screen" }, this.image, this.absent),
      this.scrubber, h("div", { class: "tools" }, this.toggle, this.speed, this.goal, this.follow));
    signal.addEventListener("abort", () => clearTimeout(this.timer));
    this.paint();
  }

  flip() { this.set(this.mode === "paused" ? "playing" : "paused"); }

  set(mode) {
    clearTimeout(this.timer);
    this.mode = mode === "following" && !this.on.running() ? "paused" : mode;
    if (mode !== "paused") this.unseen = 0;
    const last = this.on.count() - 1;
    if (mode === "following" && last >= 0) this.on.select(last, false);
    if (mode === "playing") {
      if (!this.on.running() && this.on.selected() === last) this.on.select(0, false);
      this.wait();
    }
    this.paint();
    this.on.changed();
  }

  wait() { this.timer = setTimeout(() => this.tick(), 1000 / Number(this.speed.value)); }

  tick() {
    const next = this.on.selected() + 1;
    if (next >= this.on.count()) { this.set(this.on.running() ? "following" : "paused"); return; }
    this.on.select(next, false);
    this.wait();
  }

  // Steps have come.
  arrived(many) {
    if (this.mode === "following") this.on.select(this.on.count() - 1, false);
    else if (this.mode === "paused") this.unseen += many;
    this.paint();
  }

  paint() {
    const last = Math.max(0, this.on.count() - 1), moves = this.mode !== "paused";
    this.toggle.textContent = moves ? "❚❚ Pause" : "▶ Play";
    this.toggle.setAttribute("aria-label", moves ? "Pause" : "Play");
    this.follow.hidden = !this.on.running() || this.mode === "following";
    this.follow.textContent = this.unseen ? `Follow (${this.unseen} new)` : "Follow";
    this.scrubber.max = last;
    this.scrubber.value = Math.max(0, this.on.selected());
    this.scrubber.setAttribute("aria-valuetext", this.on.count() ? `step ${this.on.stepAt(Math.max(0, this.on.selected()))}` : "no step");
  }

  // Shows a step's frame; the latest call wins.
  async show(step, next) {
    this.wanted = step;
    const url = await this.frames.get(step);
    if (this.wanted !== step) return;
    this.image.hidden = !url;
    this.absent.textContent = url ? "" : this.frames.none ? "This server records no frames: SHELM_RECORD names a folder for them."
      : `No frame of step ${step} is recorded.`;
    if (url) { this.image.src = url; this.image.alt = `Frame of step ${step}`; }
    if (this.mode === "playing" && next !== undefined) this.frames.get(next);
  }
}
