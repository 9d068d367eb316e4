"""WhatIf: what an agent would make of a committed step if its memory were another one.

Contract: each alternative is decided on the step's frame by the engines of Act, from the words that it leaves within reach:
what an episode with these words would decide. Where words are removed, older ones come within reach. Equal memories are
computed once. The rest of the contract, and the failure policy, are those of `services.policy.explain.recall`;
an alternative that cannot be is INVALID_ARGUMENT with its path.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.policy.distributions import distribution_of
from agent.policy.heads import choose, total_variation
from services.policy.agents import Agents, PolicyAgent
from services.policy.explain.ablations import Rows
from services.policy.explain.edits import Steps, changed_steps, edited
from services.policy.explain.recall import DIGITS, Decided, Recall, Recalled, first_within
from services.protocol.values import Alternative, StepWords, WhatIfAnswer, WhatIfCall, WhatIfOutcome
from services.runtime.errors import invalid
from services.store.records import Numbered


@dataclass(frozen=True)
class _Memory:
    """A memory, and who decides with it. words: by step, as far as they were read."""

    agent: PolicyAgent
    words: Steps

    @property
    def rows(self) -> Rows:
        """What is within reach."""
        rows = [word.row for words in self.words.values() for word in words]
        return tuple(rows[-(self.agent.reach + 1) :])


class WhatIf:
    """Decides committed steps again."""

    def __init__(self, recall: Recall, agents: Agents) -> None:
        self._recall, self._agents = recall, agents

    async def what_if(self, call: WhatIfCall, *, deadline: float | None) -> WhatIfAnswer:
        """Decides one committed step with each alternative. deadline: of `time.monotonic`."""
        with self._recall.place():
            return await self._what_if(call, deadline)

    async def _what_if(self, call: WhatIfCall, deadline: float | None) -> WhatIfAnswer:
        recalled = await self._recall.committed(call.episode_id, call.step, call.observation)
        agents = [self._agent(recalled.agent, one, i) for i, one in enumerate(call.alternatives)]
        steps = await self._recall.steps(recalled)
        first = first_within(steps, recalled.agent.reach)

        def memories(found: Sequence[Numbered]) -> list[_Memory]:
            words = {number: record.words for number, record in found}
            return [_Memory(recalled.agent, words), *_edited(call.alternatives, agents, words, range(first, call.step + 1))]

        def enough(found: Sequence[Numbered]) -> bool:
            return all(len(one.rows) > one.agent.reach for one in memories(found))

        actual, *others = await asyncio.to_thread(memories, await self._recall.more(recalled, steps, enough))
        for i, one in enumerate((actual, *others)):
            _check_words(one, "step" if i == 0 else f"alternatives[{i - 1}].edits")
        decided = await self._decided(recalled, (actual, *others), deadline)
        whole = decided[recalled.agent.bundle.digest, actual.rows]
        answered = [
            _outcome(one, decided[one.agent.bundle.digest, one.rows], _change(recalled.agent, whole, one, decided), words)
            for one, words in ((one, changed_steps(actual.words, one.words)) for one in others)
        ]
        reached = [(step, words) for step, words in actual.words.items() if step >= first]
        return WhatIfAnswer(
            step=call.step,
            action=recalled.record.action,
            actual=_outcome(actual, whole, None, reached),
            alternatives=answered,
            reach_from_step=first,
        )

    async def _decided(
        self, recalled: Recalled, memories: Sequence[_Memory], deadline: float | None
    ) -> dict[tuple[str, Rows], Decided]:
        """The outcome of each agent, by its digest, with each of its memories."""
        agents = {one.agent.bundle.digest: one.agent for one in memories}
        found: dict[tuple[str, Rows], Decided] = {}
        for digest, agent in agents.items():
            rows = [one.rows for one in memories if one.agent is agent]
            outcomes = await self._recall.decide(agent, recalled, rows, deadline=deadline)
            found |= {(digest, row): outcome for row, outcome in outcomes.items()}
        return found

    def _agent(self, own: PolicyAgent, alternative: Alternative, index: int) -> PolicyAgent:
        """Who decides in an alternative."""
        if not alternative.agent:
            return own
        field = f"alternatives[{index}].agent"
        agent = self._agents.find(alternative.agent, field=field)
        if not isinstance(agent, PolicyAgent) or agent.rows != own.rows:
            raise invalid(field, f"expected an agent with the vocabulary of {own.bundle.name!r}, got {agent.bundle.name!r}")
        ours, theirs = (one.bundle.manifest.observation for one in (own, agent))
        if (ours.height, ours.width) != (theirs.height, theirs.width):
            sizes = f"{ours.height} x {ours.width} pixels, got one for {theirs.height} x {theirs.width}"
            raise invalid(field, f"expected an agent for frames of {sizes}")
        return agent


def _edited(
    alternatives: Sequence[Alternative], agents: Sequence[PolicyAgent], words: Steps, editable: range
) -> list[_Memory]:
    return [
        _Memory(agent, edited(words, one.edits, agent.rows, editable=editable, field=f"alternatives[{i}].edits"))
        for i, (one, agent) in enumerate(zip(alternatives, agents, strict=True))
    ]


def _check_words(memory: _Memory, field: str) -> None:
    if not memory.rows:
        raise invalid(field, "expected a memory with at least one word, got one without any")


def _change(own: PolicyAgent, whole: Decided, memory: _Memory, decided: Mapping[tuple[str, Rows], Decided]) -> float | None:
    """The distance from the memory as it is; None of an agent with other actions, or with deviations of its own."""
    other, _ = decided[memory.agent.bundle.digest, memory.rows]
    actions = own.bundle.manifest.actions
    if memory.agent is not own and (memory.agent.bundle.manifest.actions != actions or any(h.bounds for h in own.heads)):
        return None
    return round(total_variation(own.heads, whole[0], other), DIGITS)


def _outcome(memory: _Memory, decided: Decided, change: float | None, words: Sequence[StepWords]) -> WhatIfOutcome:
    parameters, value = decided
    heads = memory.agent.heads
    most_probable, _ = choose(heads, parameters, seed=0, step=0, deterministic=True)
    return WhatIfOutcome(
        distribution=distribution_of(heads, parameters),
        most_probable=most_probable,
        value=value,
        change=change,
        words=words,
    )
