// What of a page's state is in its address, after a question mark in the fragment.

export const asked = () => new URLSearchParams(location.hash.split("?")[1]);

// The address of a page with these values: texts, or lists of texts. Empty ones are left out.
export function place(page, values) {
  const kept = new URLSearchParams(Object.entries(values).flatMap(([name, value]) => [value].flat().filter(Boolean).map((one) => [name, one])));
  return page + (kept.size ? `?${kept}` : "");
}

// Puts values into the address of the page.
export const hold = (values) => history.replaceState(null, "", place(location.hash.split("?")[0] || "#/", values));
