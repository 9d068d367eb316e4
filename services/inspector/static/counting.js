// Counts of words and of what follows what, over many episodes. Every episode counts the same, however long it is: a word's share
// of an episode is how many of its steps hold the word, a transition's how many of its pairs of neighbouring steps are that one.
// Contract: read is [[episode, steps], ...]; an episode without a reward counts, but has no outcome.

const NORMAL = 1.959964;  // quantile of 97.5 %

// Wilson's 95 % interval of `many` of `all`; null of none.
export function wilson(many, all) {
  if (!all) return null;
  const share = many / all, squared = NORMAL ** 2 / all;
  const middle = (share + squared / 2) / (1 + squared);
  const reach = Math.sqrt(share * (1 - share) * squared + squared ** 2 / 4) / (1 + squared);
  return [Math.max(0, middle - reach), Math.min(1, middle + reach)];
}

const mean = (values) => (values.length ? values.reduce((a, b) => a + b, 0) / values.length : null);

function median(sorted) {
  const middle = sorted.length / 2;
  return sorted.length ? (sorted[Math.floor(middle)] + sorted[Math.ceil(middle) - 1]) / 2 : 0;
}

// The reward above which an episode is solved. rule: "zero", or "median" for rewards that are positive in every episode.
export function limitOf(read, rule) {
  if (rule !== "median") return 0;
  return median(read.map(([episode]) => episode.total_reward).filter((one) => one !== null).sort((a, b) => a - b));
}

const outcomeOf = (episode, limit) => (episode.total_reward === null ? null : episode.total_reward > limit ? "solved" : "failed");

// What a name stands in: its shares by outcome, and how many episodes of each outcome have it.
function compare(episodes, name) {
  const of = (wanted) => episodes.filter((one) => one.outcome === wanted);
  const [solved, failed] = ["solved", "failed"].map((wanted) => mean(of(wanted).map((one) => one.shares.get(name) ?? 0)));
  const [solvedIn, failedIn] = ["solved", "failed"].map((wanted) => of(wanted).filter((one) => one.shares.has(name)).length);
  return { solved, failed, solvedIn, failedIn, episodes: episodes.filter((one) => one.shares.has(name)).length, interval: wilson(solvedIn, solvedIn + failedIn),
    share: mean(episodes.map((one) => one.shares.get(name) ?? 0)), difference: solved === null || failed === null ? null : solved - failed };
}

const shared = (counts, all) => new Map([...counts].map(([name, many]) => [name, many / all]));

const add = (counts, name) => counts.set(name, (counts.get(name) ?? 0) + 1);

const weight = (one) => (one.difference === null ? one.share : Math.abs(one.difference));

// Each word; those whose shares of steps differ most between solved and failed episodes come first.
export function count(read, rule) {
  const limit = limitOf(read, rule), totals = new Map();
  const episodes = read.map(([episode, steps]) => {
    const held = new Map();
    for (const { tokens } of steps) {
      for (const text of new Set(tokens.map((token) => token.text))) add(held, text);
      for (const { text } of tokens) add(totals, text);
    }
    return { outcome: outcomeOf(episode, limit), shares: shared(held, steps.length) };
  });
  const counts = [...totals].map(([word, total]) => ({ word, total, ...compare(episodes, word) }));
  counts.sort((a, b) => weight(b) - weight(a) || b.total - a.total || (a.word < b.word ? -1 : 1));
  const many = (wanted) => episodes.filter((one) => one.outcome === wanted).length;
  return { limit, counts, solved: many("solved"), failed: many("failed") };
}

const first = (step) => step.tokens[0]?.text;

// What follows what: the most similar word of a step and that of the next one. {nodes: [{word, share}], edges: [{from, to, ...}]};
// the `most` words with the largest shares, and what is between them, the most frequent first.
export function transitions(read, rule, most) {
  const limit = limitOf(read, rule), words = new Map();
  const episodes = read.filter(([, steps]) => steps.some(first)).map(([episode, steps]) => {
    const pairs = new Map(), held = new Map();
    steps.forEach((step, i) => {
      if (first(step) !== undefined) add(held, first(step));
      const next = steps[i + 1];
      if (next && next.step === step.step + 1 && first(step) !== undefined && first(next) !== undefined) add(pairs, JSON.stringify([first(step), first(next)]));
    });
    for (const [word, share] of shared(held, steps.length)) words.set(word, (words.get(word) ?? 0) + share);
    return { outcome: outcomeOf(episode, limit), shares: shared(pairs, Math.max(1, steps.length - 1)) };
  });
  const nodes = [...words].map(([word, sum]) => ({ word, share: sum / episodes.length }))
    .sort((a, b) => b.share - a.share || (a.word < b.word ? -1 : 1)).slice(0, most);
  const shown = new Set(nodes.map((one) => one.word)), names = new Set(episodes.flatMap((one) => [...one.shares.keys()]));
  const edges = [...names].map((name) => [name, JSON.parse(name)]).filter(([, [from, to]]) => shown.has(from) && shown.has(to))
    .map(([name, [from, to]]) => ({ from, to, ...compare(episodes, name) }));
  edges.sort((a, b) => b.share - a.share || (a.from + a.to < b.from + b.to ? -1 : 1));
  return { nodes, edges };
}
