// Client of the inspector's /api. The token is stored in sessionStorage, sent in the Authorization header and never part of a URL.

const KEY = "shelm-token";
const dialog = document.getElementById("token-dialog");
const forgetButton = document.getElementById("forget");
let asking = null;

export class ApiError extends Error {
  constructor(status, { reason, message, retry_after }) {
    super(message);
    Object.assign(this, { status, reason, retryAfter: retry_after });
  }
}

const token = () => sessionStorage.getItem(KEY) ?? "";
const showForget = () => { forgetButton.hidden = !token(); };
forgetButton.addEventListener("click", () => { sessionStorage.removeItem(KEY); location.reload(); });
showForget();

// Asks for a token, once for all requests that need one. False if the person declines.
function ask(reason) {
  asking ??= new Promise((resolve) => {
    document.getElementById("token-reason").textContent = reason;
    const input = document.getElementById("token");
    input.value = "";
    dialog.returnValue = "";
    dialog.addEventListener("close", () => {
      const given = dialog.returnValue === "use" && input.value.trim();
      if (given) sessionStorage.setItem(KEY, given);
      input.value = "";
      showForget();
      asking = null;
      resolve(Boolean(given));
    }, { once: true });
    dialog.showModal();
  });
  return asking;
}

// body: sent as JSON by POST; without one it is a GET.
async function request(path, signal, body) {
  for (;;) {
    const used = token();
    // X-Shelm-Page: a page of another site cannot send it, so it cannot ask for what costs work.
    const headers = { "X-Shelm-Page": "1", ...(used ? { Authorization: `Bearer ${used}` } : {}) };
    const sent = body ? { method: "POST", body: JSON.stringify(body) } : {};
    let response;
    try {
      response = await fetch(path, { headers, signal, cache: "no-store", ...sent });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(0, { reason: "INSPECTOR_AWAY", message: "The inspector cannot be reached." });
    }
    if (response.ok) return response;
    const error = await failure(response);
    if (response.status !== 401) throw error;
    const why = used ? "The server does not accept this token." : "The server asks for a token.";
    if (used === token() && !(await ask(why))) throw error;
  }
}

async function failure(response) {
  const fallback = { reason: "HTTP", message: `The inspector answered with status ${response.status}.` };
  return new ApiError(response.status, await response.json().catch(() => fallback));
}

const path = (...parts) => ["/api", ...parts.map(encodeURIComponent)].join("/");

export const getAgents = async (signal) => (await request(path("agents"), signal)).json();
// How the services are doing, as their metrics tell (overview.py).
export const getOverview = async (signal) => (await request(path("overview"), signal)).json();
// One agent with its card, vocabulary and language model, by name or digest.
export const getAgent = async (name, signal) => (await request(path("agents", name), signal)).json();
export const getEpisode = async (id, signal) => (await request(path("episodes", id), signal)).json();
// steps: how many of the latest steps to take away one by one; 0: as many as the server does unless told.
export const explain = async (id, step, signal, steps = 0) =>
  (await request(`${path("episodes", id, "explain", step)}?max_steps=${steps}`, signal)).json();
// What the agent would do with other memories; alternatives: as in WhatIfRequest (agent.proto).
export const whatIf = async (id, step, alternatives, signal) =>
  (await request(path("episodes", id, "whatif", step), signal, { alternatives })).json();

// A new episode that goes on from a step with other words; the episode.
export const branchEpisode = async (id, step, name, edits, signal) =>
  (await request(path("episodes", id, "branch", step), signal, { episode_id: name, edits })).json();

// The episode as a file in one of the formats that the inspector offers.
export const getFile = async (id, format, signal) => (await request(path("episodes", id, "export", format), signal)).blob();

// What this inspector does beyond reading: {branches: whether, exports: formats}.
let offered = null;
export const getOffers = () => (offered ??= request(path("offers")).then((response) => response.json(), (error) => { offered = null; throw error; }));

// A recorded frame; null if there is none, false if the server records no frames at all.
export async function getFrame(id, step, signal) {
  const response = await request(path("episodes", id, "frames", step), signal);
  if (response.status === 200) return response.blob();
  return ["RECORDING_OFF", "UNIMPLEMENTED"].includes(response.headers.get("X-Reason")) ? false : null;
}

// A page of archived episodes: {episodes, next}; next is empty on the last page.
export const getArchive = async (after, signal) =>
  (await request(`${path("archive")}?after=${encodeURIComponent(after)}`, signal)).json();

// A page of episodes by what they saw, and how solved ones differ from failed ones: requests as in agent.proto, answers as in searching.py.
export const searchEpisodes = async (question, signal) => (await request(path("search"), signal, question)).json();
export const compareOutcomes = async (question, signal) => (await request(path("compare"), signal, question)).json();

export async function getMemory(id, from, limit, signal) {
  return (await request(`${path("episodes", id, "memory")}?from=${from}&limit=${limit}`, signal)).json();
}

// All retained steps, page by page.
export async function allMemory(id, signal, from = 0) {
  const steps = [];
  for (;;) {
    const page = await getMemory(id, from, 1000, signal);
    steps.push(...page);
    if (page.length < 1000) return steps;
    from = page.at(-1).step + 1;
  }
}

// Server-sent events; fetch instead of EventSource, which cannot send a header.
async function* events(url, signal) {
  const reader = (await request(url, signal)).body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (text + value.replaceAll("\r", "")).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s)));
      if (fields.event) yield [fields.event, JSON.parse(fields.data)];
    }
  }
}

const FIRST_WAIT = 500, LONGEST_WAIT = 8000;  // ms
const FINAL = new Set([400, 401, 403, 404, 412]);

// Keeps a stream open until `signal` aborts, an `end` event arrives or the server rejects it. Reconnects after a failure,
// but only while the tab is visible; `url()` returns where to continue. on: {event name: handler, state: (text, error) => void}.
async function keep(url, on, signal) {
  let wait = FIRST_WAIT;
  while (!signal.aborted) {
    await seen(signal);
    const own = new AbortController();
    const stop = () => own.abort();
    const hide = () => document.hidden && own.abort();
    signal.addEventListener("abort", stop);
    document.addEventListener("visibilitychange", hide);
    let error = null;
    try {
      on.state("live");
      for await (const [name, data] of events(url(), own.signal)) {
        if (name === "error") error = new ApiError(-1, data);
        else { wait = FIRST_WAIT; error = null; on[name]?.(data); }
        if (error) on.state("retrying", error);
        if (name === "end") return;
      }
    } catch (caught) {
      if (caught.name !== "AbortError") error = caught;
    } finally {
      signal.removeEventListener("abort", stop);
      document.removeEventListener("visibilitychange", hide);
      own.abort();
    }
    if (error && FINAL.has(error.status)) { on.state("refused", error); return; }
    if (signal.aborted || document.hidden) continue;
    on.state("retrying", error);
    await rest(Math.max(wait, 1000 * (error?.retryAfter ?? 0)));
    wait = Math.min(2 * wait, LONGEST_WAIT);
  }
}

// Waits while the tab is hidden.
export function seen(signal) {
  if (!document.hidden) return null;
  return new Promise((resolve) => {
    document.addEventListener("visibilitychange", resolve, { once: true });
    signal.addEventListener("abort", resolve, { once: true });
  });
}

export const keepList = (on, signal) => keep(() => path("episodes"), on, signal);
export const keepEpisode = (id, next, on, signal) =>
  keep(() => `${path("episodes", id, "live")}?from=${next()}`, on, signal);

// The list as it is now.
export function listOnce(signal) {
  const own = new AbortController();
  signal.addEventListener("abort", () => own.abort());
  return new Promise((resolve, reject) => {
    keepList({
      episodes: (news) => { resolve(news.changed); own.abort(); },
      state: (text, error) => { if (error) { reject(error); own.abort(); } },
    }, own.signal);
  });
}

export const rest = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
