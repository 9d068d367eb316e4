// What of a page's state is in its address, after a question mark in the fragment.

export const asked = () => new URLSearchParams(location.hash.split("?")[1]);

// Puts values into the address of the page; empty ones are left out.
export function hold(values) {
  const kept = new URLSearchParams(Object.entries(values).filter(([, value]) => value));
  history.replaceState(null, "", (location.hash.split("?")[0] || "#/") + (kept.size ? `?${kept}` : ""));
}
