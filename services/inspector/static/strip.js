// The frames around the selected step, if the server records frames. Only visible ones are requested; the latest KEPT are cached.
// Failure policy: without recording there is no strip; the place of a missing frame stays empty.

import { getFrame } from "./api.js";
import { h, throttle } from "./dom.js";

const WIDTH = 78;  // pixels of one frame and its margin
const KEPT = 200;

export class Strip {
  constructor(episodeId, signal, jump) {
    Object.assign(this, { episodeId, signal, jump });
    this.urls = new Map();  // step -> promise of a blob: address
    this.element = h("div", { class: "strip", role: "group", "aria-label": "Frames", hidden: true });
    this.show = throttle(() => this.paint(), 120);
    signal.addEventListener("abort", () => {
      this.show.cancel();
      for (const promise of this.urls.values()) promise.then((url) => URL.revokeObjectURL(url), () => {});
    });
  }

  update(steps, selected) {
    if (this.none) return;
    this.steps = steps;
    this.selected = selected;
    this.show();
  }

  paint() {
    if (!this.steps.length) return;
    if (!this.asked) {  // once, whether the server records at all
      this.asked = getFrame(this.episodeId, this.steps[this.selected].step, this.signal);
      this.asked.then((blob) => { this.none = blob === false; this.element.hidden = this.none; this.show(); }, () => {});
    }
    if (this.none !== false) return;
    const many = Math.max(1, Math.floor(this.element.clientWidth / WIDTH));
    const first = Math.max(0, Math.min(this.selected - Math.floor(many / 2), this.steps.length - many));
    const wanted = this.steps.slice(first, first + many).map((step) => step.step);
    if (this.shown === `${wanted} ${this.steps[this.selected].step}`) return;
    this.shown = `${wanted} ${this.steps[this.selected].step}`;
    this.element.replaceChildren(...wanted.map((step) => this.place(step)));
  }

  place(step) {
    const now = step === this.steps[this.selected].step;
    const image = h("img", { alt: "", width: 72, height: 72 });
    const place = h("button", { type: "button", "aria-label": `Frame of step ${step}`, "aria-pressed": String(now),
      onclick: () => this.jump(step) }, image, h("span", {}, step));
    this.frame(step).then((url) => { image.src = url; }, () => {});
    return place;
  }

  frame(step) {
    if (!this.urls.has(step)) {
      this.urls.set(step, getFrame(this.episodeId, step, this.signal).then((blob) => {
        if (!blob) throw new Error("no frame");
        return URL.createObjectURL(blob);
      }).catch((error) => {
        this.urls.delete(step);  // it may become available: frames are written shortly after their step
        this.shown = null;
        throw error;
      }));
      if (this.urls.size > KEPT) this.drop(this.urls.keys().next().value);
    }
    return this.urls.get(step);
  }

  drop(step) {
    this.urls.get(step).then((url) => URL.revokeObjectURL(url), () => {});
    this.urls.delete(step);
  }
}
