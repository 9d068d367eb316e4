// A small curve without axes.

const NS = "http://www.w3.org/2000/svg", WIDTH = 96, HEIGHT = 22;

export function sparkline(values, name) {
  const known = values.filter((value) => value !== null);
  const low = Math.min(...known), span = Math.max(...known) - low || 1;
  const x = (i) => 1 + (values.length < 2 ? 0.5 : i / (values.length - 1)) * (WIDTH - 2);
  const points = values.flatMap((value, i) => (value === null ? [] : [`${x(i).toFixed(1)},${(HEIGHT - 2 - ((value - low) / span) * (HEIGHT - 4)).toFixed(1)}`]));
  const svg = document.createElementNS(NS, "svg"), line = document.createElementNS(NS, "polyline");
  for (const [key, value] of Object.entries({ width: WIDTH, height: HEIGHT, class: "sparkline", role: "img", "aria-label": name })) svg.setAttribute(key, value);
  line.setAttribute("points", points.join(" "));
  svg.append(line);
  return svg;
}
