// A small curve without axes, drawn into a copy of the template of index.html.

const WIDTH = 96, HEIGHT = 22;  // as in the template

export function sparkline(values, name) {
  const known = values.filter((value) => value !== null);
  const low = Math.min(...known), span = Math.max(...known) - low || 1;
  const x = (i) => 1 + (values.length < 2 ? 0.5 : i / (values.length - 1)) * (WIDTH - 2);
  const points = values.flatMap((value, i) => (value === null ? [] : [`${x(i).toFixed(1)},${(HEIGHT - 2 - ((value - low) / span) * (HEIGHT - 4)).toFixed(1)}`]));
  const svg = document.getElementById("sparkline").content.firstElementChild.cloneNode(true);
  svg.setAttribute("aria-label", name);
  svg.firstElementChild.setAttribute("points", points.join(" "));
  return svg;
}
