// Keyboard shortcuts of the pages that show steps. Keys typed into input fields, or with a modifier, are ignored.

const help = document.getElementById("help-dialog");
document.getElementById("help").addEventListener("click", () => help.showModal());

// The scrubber moves by its own keys, and takes none of the letters.
const MOVES = new Set(["ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight", "PageDown", "PageUp", "Home", "End"]);

const ignored = (event) => event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input:not([type=range], [type=checkbox]), select, textarea, dialog")
  || (event.target.closest("input[type=range]") && MOVES.has(event.key));

document.addEventListener("keydown", (event) => {
  if (event.key === "?" && !ignored(event)) help.showModal();
});

// moves: {key: handler}; the space bar is not handled if a button or link has the focus.
export function listen(moves, signal) {
  document.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move || ignored(event)) return;
    if (event.key === " " && event.target.closest("button, a, summary")) return;
    event.preventDefault();
    move();
  }, { signal });
}

// The moves through a list of rows.
export const through = (rows) => {
  const by = (step) => () => rows.select(rows.selected + step, true);
  return {
    ArrowDown: by(1), ArrowRight: by(1), j: by(1), ArrowUp: by(-1), ArrowLeft: by(-1), k: by(-1),
    PageDown: () => by(rows.page)(), PageUp: () => by(-rows.page)(),
    Home: () => rows.select(0, true), End: () => rows.select(rows.count() - 1, true),
  };
};
