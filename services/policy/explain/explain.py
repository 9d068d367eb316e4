"""ExplainStep: which remembered words influenced a step (docs/decisions/0007-attribution-by-removal.md).

Contract: the history is encoded without a word or a step, the actor-critic decides again on the same frame, and the two
distributions over actions are compared (total variation distance). Changes are rounded, so that a word without influence has
0 and equal changes stay in the order of the steps. The rest of the contract, and the failure policy, are those of
`services.policy.explain.recall`.
"""

from collections.abc import Mapping, Sequence

from agent.policy.heads import choose, probabilities, total_variation
from services.policy.agents import PolicyAgent
from services.policy.explain.ablations import Ablation, Rows, history_of
from services.policy.explain.recall import DIGITS, Decided, Recall, first_within
from services.protocol.values import Decision, ExplainCall, Explanation, Influence
from services.runtime.errors import invalid


class Explainer:
    """Explains committed steps."""

    def __init__(self, recall: Recall) -> None:
        self._recall = recall

    async def explain(self, call: ExplainCall, *, deadline: float | None) -> Explanation:
        """Explains one committed step. deadline: of `time.monotonic`."""
        with self._recall.place():
            return await self._explain(call, deadline)

    async def _explain(self, call: ExplainCall, deadline: float | None) -> Explanation:
        recalled = await self._recall.committed(call.episode_id, call.step, call.observation)
        agent, reach = recalled.agent, recalled.agent.reach
        steps = await self._recall.steps(recalled)
        history = history_of(steps, reach=reach)
        if not history.rows:
            raise invalid("step", f"expected a step whose memory holds words, got step {call.step}, where all were removed")
        by_word, by_step = history.without_each_word(), history.without_each_step(call.max_steps)
        histories = [history.rows, *(one.rows for one in (*by_word, *by_step) if one.rows)]
        outcomes = await self._recall.decide(agent, recalled, histories, deadline=deadline)
        whole = outcomes[history.rows]
        return Explanation(
            step=call.step,
            action=recalled.record.action,
            decision=_decision(agent, whole),
            by_word=_influences(agent, whole, by_word, outcomes),
            by_step=_influences(agent, whole, by_step, outcomes),
            reach_from_step=first_within(steps, reach),
        )


def _decision(agent: PolicyAgent, outcome: Decided) -> Decision:
    row, value = outcome
    most_probable, _ = choose(agent.heads, row, seed=0, step=0, deterministic=True)
    return Decision(probabilities(agent.heads, row), most_probable, value)


def _influences(
    agent: PolicyAgent, whole: Decided, ablations: Sequence[Ablation], outcomes: Mapping[Rows, Decided]
) -> list[Influence]:
    """The most influential first; equals stay in their order. What would leave no word at all has no outcome."""
    found = [
        Influence(
            ablation.words,
            ablation.steps,
            round(total_variation(agent.heads, whole[0], outcomes[ablation.rows][0]), DIGITS),
            _decision(agent, outcomes[ablation.rows]),
        )
        for ablation in ablations
        if ablation.rows in outcomes
    ]
    return sorted(found, key=lambda one: -one.change)
