// Third-party code in this page, with its full licences.

import { h } from "./dom.js";

export async function show(main, signal) {
  const read = async (name) => (await fetch(`/static/vendor/${name}`, { signal })).text();
  const packages = JSON.parse(await read("vendor.json"));
  main.append(h("h1", {}, "Licences"));
  for (const one of packages) {
    main.append(h("h2", {}, `${one.package} ${one.version}`), h("p", {}, `Licence: ${one.licence}. Its files: ${Object.keys(one.files).join(", ")}.`));
    for (const name of one.texts) {
      main.append(h("details", {}, h("summary", {}, name), h("pre", {}, await read(name))));
    }
  }
}
