// A virtual list: only the visible rows are in the DOM. Rows are `height` pixels high.
// count(): number of rows. fill(element, i): draws row i. chosen(i, byPerson): called when the selected row changes. over(i):
// called with the row under the pointer, undefined for none.

import { h } from "./dom.js";

const MARGIN = 6;  // rows drawn beyond each edge

export class Rows {
  constructor({ label, height, count, fill, chosen, over = () => {} }) {
    Object.assign(this, { height, count, fill, chosen });
    this.selected = -1;
    this.drawn = new Map();
    this.space = h("div", { class: "space", role: "presentation" });
    this.element = h("div", { class: "rows", role: "listbox", tabindex: "0", "aria-label": label }, this.space);
    this.element.addEventListener("scroll", () => { this.later ??= requestAnimationFrame(() => this.draw()); });
    this.element.addEventListener("click", (event) => {
      const row = event.target.closest("[role=option]");
      if (row) this.select(Number(row.dataset.i), true);
    });
    this.element.addEventListener("pointerover", (event) => {
      const row = event.target.closest("[role=option]");
      over(row ? Number(row.dataset.i) : undefined);
    });
    this.element.addEventListener("pointerleave", () => over(undefined));
    this.observer = new ResizeObserver(() => { if (this.selected >= 0) this.reveal(this.selected); else this.draw(); });
    this.observer.observe(this.element);
  }

  // Draws the visible rows; with `anew` also those that are already drawn.
  draw(anew = false) {
    cancelAnimationFrame(this.later);
    this.later = null;
    const total = this.count(), { scrollTop, clientHeight } = this.element;
    const length = `${total * this.height}px`;
    if (this.space.style.height !== length) this.space.style.height = length;
    const first = Math.max(0, Math.floor(scrollTop / this.height) - MARGIN);
    const last = Math.min(total, Math.ceil((scrollTop + clientHeight) / this.height) + MARGIN);
    const spare = [];
    for (const [i, row] of this.drawn) if (i < first || i >= last) { this.drawn.delete(i); spare.push(row); }
    for (let i = first; i < last; i++) {
      const known = this.drawn.get(i);
      if (!known || anew) this.place(known ?? spare.pop() ?? this.space.appendChild(this.row()), i, total);
    }
    spare.forEach((row) => row.remove());
    this.point();
  }

  row() {
    const row = h("div", { role: "option" });
    row.style.height = `${this.height}px`;
    return row;
  }

  place(row, i, total) {
    row.dataset.i = i;
    row.id = `row-${i}`;
    row.style.transform = `translateY(${i * this.height}px)`;
    row.setAttribute("aria-posinset", i + 1);
    row.setAttribute("aria-setsize", total);
    row.setAttribute("aria-selected", i === this.selected);
    this.drawn.set(i, row);
    this.fill(row, i);
  }

  select(i, byPerson = false) {
    const total = this.count();
    if (!total) return;
    const next = Math.min(total - 1, Math.max(0, i));
    this.drawn.get(this.selected)?.setAttribute("aria-selected", false);
    this.selected = next;
    this.drawn.get(next)?.setAttribute("aria-selected", true);
    this.reveal(next);
    this.point();
    this.chosen(next, byPerson);
  }

  reveal(i) {
    const top = i * this.height, { scrollTop, clientHeight } = this.element;
    const above = scrollTop - top, below = top + this.height - scrollTop - clientHeight;  // how far it is out of sight
    if (above > 0 || below > 0) {
      this.space.style.height = `${this.count() * this.height}px`;
      const far = Math.max(above, below) > this.height;
      this.element.scrollTop = far ? top - (clientHeight - this.height) / 2 : above > 0 ? top : scrollTop + below;
    }
    this.draw();
  }

  // Tells assistive technology which row is selected, if it is drawn.
  point() {
    if (this.drawn.has(this.selected)) this.element.setAttribute("aria-activedescendant", `row-${this.selected}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  get page() {
    return Math.max(1, Math.floor(this.element.clientHeight / this.height) - 1);
  }

  close() {
    this.observer.disconnect();
    cancelAnimationFrame(this.later);
  }
}
