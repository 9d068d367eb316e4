// Which steps' words the attention could still reach when a step was decided, as in agent.proto.

// Where the words of each step end, counted from the first word of the episode. perStep: words a step of the agent.
function ends(steps, perStep) {
  let end = (steps[0]?.step ?? 0) * perStep;
  return steps.map((step) => { end += step.tokens.length; return end; });
}

// (i, j) -> whether the words of step j were in the window when step i was decided; j is not after i.
// reach: words that the attention reaches back.
export function windows(steps, perStep, reach) {
  const known = ends(steps, perStep);
  return (i, j) => j === i || known[j] - 1 > known[i] - steps[i].tokens.length - reach;
}
