// Edits of a memory, as agent.proto has them: as a sentence, as options of `shelm whatif`, and as Python.

export const at = (step, text) => (step === undefined ? text : `${step}:${text}`);

// An edit as `shelm whatif` takes it; name and argument of the option.
function option(edit) {
  const [[kind, value]] = Object.entries(edit);
  if (kind === "swap") return ["--swap", value.word, value.other];
  return [`--${kind}`, at(value.step, kind === "replace" ? `${value.word}=${value.replacement}` : value.word)];
}

export const sayEdit = (edit) => {
  const [[kind, { step, word, other, replacement }]] = Object.entries(edit);
  const where = step === undefined ? "at every step" : `at step ${step}`;
  if (kind === "insert") return `${word} added ${where}`;
  if (kind === "swap") return `${word} and ${other} swapped at every step`;
  return kind === "replace" ? `${replacement} instead of ${word} ${where}` : `no ${word || "words"} ${where}`;
};

const quote = (text) => (/^[\w.:=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

const python = (edit) => {
  const [[kind, { step, word, other, replacement }]] = Object.entries(edit), text = JSON.stringify;
  const where = step === undefined ? "" : `, ${step}`;
  if (kind === "swap") return `shelm.Swap(${text(word)}, ${text(other)})`;
  return kind === "replace" ? `shelm.Replace(${text(word)}, ${text(replacement)}${where})` : `shelm.Remove(${text(word)}${where})`;
};

// The step that an edit names; undefined: all.
export const stepOf = (edit) => Object.values(edit)[0].step;

// The question as a command, and the branch as a call of the client.
export const whatIfCommand = (id, step, edits) => ["shelm", "whatif", id, step, ...edits.flatMap(option)].map((one) => quote(String(one))).join(" ");
export const branchCall = (name, id, step, edits) =>
  `client.branch_episode(${JSON.stringify(name)}, ${JSON.stringify(id)}, ${step}, [${edits.map(python).join(", ")}])`;
