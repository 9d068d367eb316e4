// Downloads of the memory. They are read again from the server, so they contain exactly what GetMemory returns.

import { allMemory } from "./api.js";
import { say } from "./dom.js";

export function save(name, blob) {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const quoted = (value) => {
  const text = value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

// A line per word: steps without words have one line with an empty word.
export function csv(steps) {
  const head = "step,rank,word,id,similarity,action,value,in_window,time";
  const lines = steps.flatMap((one) => (one.tokens.length ? one.tokens : [{ text: null, id: null, similarity: null }])
    .map((token, rank) => [one.step, rank, token.text, token.id, token.similarity, one.action, one.value, one.in_window,
      new Date(one.time).toISOString()].map(quoted).join(",")));
  return [head, ...lines, ""].join("\n");
}

export const jsonLines = (steps) => steps.map((step) => `${JSON.stringify(step)}\n`).join("");

export async function saveMemory(episodeId, kind, signal) {
  try {
    const steps = await allMemory(episodeId, signal);
    if (kind === "csv") save(`${episodeId}.csv`, new Blob([csv(steps)], { type: "text/csv" }));
    else save(`${episodeId}.jsonl`, new Blob([jsonLines(steps)], { type: "application/jsonl" }));
  } catch (error) {
    if (!signal.aborted) say(error.message);
  }
}
