// Creates elements. Text is always inserted as text, never parsed as HTML.

export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

// The same for SVG, whose elements have a name space of their own: that of the template in index.html.
export const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS(document.getElementById("sparkline").content.firstElementChild.namespaceURI, tag), attributes, children);

function fill(element, attributes = {}, children = []) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.setAttribute("class", value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export const button = (text, onclick, attributes = {}) => h("button", { type: "button", onclick, ...attributes }, text);

// The message that a page shows instead of content that failed to load.
export const problem = (error) => h("p", { class: "problem", role: "alert" }, error.message);

// Shows a message in the page's status line, which screen readers announce.
export function say(text) {
  const line = document.getElementById("status");
  if (line.textContent !== text) line.textContent = text;
}

// Throttles `work` to one call per `ms`; the last call is never lost. `cancel` drops a waiting call.
export function throttle(work, ms) {
  let timer = null, last = -Infinity;
  const run = () => { timer = null; last = performance.now(); work(); };
  const call = () => { timer ??= setTimeout(run, Math.max(0, last + ms - performance.now())); };
  call.cancel = () => { clearTimeout(timer); timer = null; };
  return call;
}
