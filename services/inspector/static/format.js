// Formats values for display.

export const number = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));

export function age(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d`;
}

export const clock = (ms) => new Date(ms).toLocaleTimeString();

export const words = (step) => step.tokens.map((token) => `${token.text} ${number(token.similarity)}`).join(", ");

// An action by the names of the agent's action space (agent.proto).
export function action(value, space) {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) {
    return value.map((one, i) => `${space?.names?.[i] ? `${space.names[i]} ` : ""}${number(one)}`).join(", ");
  }
  if (typeof value === "object") {
    const parts = Object.fromEntries((space?.dict?.parts ?? []).map((part) => [part.name, part.space]));
    return Object.entries(value).map(([name, one]) => `${name}: ${action(one, parts[name])}`).join("; ");
  }
  return space?.names?.[value] ?? `action ${value}`;
}

export const sameWords = (a, b) =>
  a.tokens.length === b.tokens.length && a.tokens.every((token, i) => token.text === b.tokens[i].text);

export const sameAction = (a, b) => JSON.stringify(a.action) === JSON.stringify(b.action);

export const reward = (episode) => (episode.total_reward === null ? "–" : number(episode.total_reward, 3));

export const state = (episode) => (episode.ended ? "ended" : "running");

export const SILENT = 60_000;  // ms after which a running episode is said to be silent: its client may have died

// "solved": a positive sum of rewards; "failed": any other; "unknown": no client has told one.
export const outcome = (episode) =>
  (episode.total_reward === null ? (episode.ended ? "unknown" : "running") : episode.total_reward > 0 ? "solved" : "failed");

const silent = (one) => !one.ended && Date.now() - one.update_time > SILENT;

// Whether an episode is in a state that the list can be filtered by.
export const isState = (one, wanted) => wanted === "all" || (wanted === "ended" && one.ended) || (wanted === "silent" && silent(one))
  || (wanted === "running" && !one.ended) || (one.ended && outcome(one) === wanted);

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const power = value < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(value) / 10));
  return `${(value / 1024 ** power).toFixed(power ? 1 : 0)} ${["B", "KiB", "MiB", "GiB", "TiB"][power]}`;
}

export const agentLink = (digest) => `#/agents/${encodeURIComponent(digest)}`;

export const link = (episodeId) => `#/episode/${encodeURIComponent(episodeId)}`;
