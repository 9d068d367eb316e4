"""The computation of a step: retrieve -> remember -> decide. Nothing here is visible outside before it is committed.

Contract: deterministic: the same episode, history and frame give the same words and the same action, sampled or greedy.
Turns of several episodes share every call and forward pass, which changes no answer. The CNN encodes the frames while
retrieval and memory run. An agent without words needs neither of them (services.policy.wordless). Failure policy: a turn
whose retrieval, memory or policy fails has that error as its outcome; the others go on. An error of a whole call is raised
unchanged.
"""

from collections.abc import Sequence
from typing import Any

from agent.history import MemoryStep, extend_history
from services.policy.agents import PolicyAgent, ServedAgent, WordlessAgent
from services.policy.backends.interfaces import Memory, Retrieval
from services.policy.turns import Computed, Turn, acted, unfailed
from services.policy.wordless import compute_wordless
from services.runtime.stages import StageTimer


class Pipeline:
    """Runs retrieval, memory and actor-critic one after the other."""

    def __init__(self, retrieval: Retrieval, memory: Memory) -> None:
        self._retrieval, self._memory = retrieval, memory

    async def compute(
        self, agent: ServedAgent, turns: Sequence[Turn], *, deadline: float | None, timer: StageTimer
    ) -> list[Computed | BaseException]:
        """Computes one step in each of several episodes of one agent. deadline: of `time.monotonic`."""
        if isinstance(agent, WordlessAgent):
            return await compute_wordless(agent, turns, deadline=deadline, timer=timer)
        assert isinstance(agent, PolicyAgent)
        digest = agent.bundle.digest
        encoding = agent.encode.put([turn.observation for turn in turns], deadline=deadline)  # meanwhile
        try:
            with timer.stage("retrieval"):
                words = await self._retrieval.words(digest, [turn.observation for turn in turns], deadline=deadline)
            outcomes: list[Any] = list(words)  # of each turn, its error once it has failed
            with timer.stage("memory"):
                going = unfailed(outcomes)
                steps = [_memory_step(turns[i], outcomes[i]) for i in going]
                remembered = await self._memory.remember(digest, steps, deadline=deadline) if going else []
            with timer.stage("policy"):
                features = await encoding
                pairs: list[Any] = []
                for i, memory in zip(going, remembered, strict=True):
                    failed = next((one for one in (memory, features[i]) if isinstance(one, BaseException)), None)
                    outcomes[i] = failed or (words[i], memory)
                    if isinstance(memory, tuple) and not failed:
                        pairs.append((features[i], memory[0].vector))
                going = unfailed(outcomes)
                decided = await agent.decide.put(pairs, deadline=deadline) if going else []
        finally:
            encoding.cancel()
        for i, decision in zip(going, decided, strict=True):
            try:
                outcomes[i] = _computed(agent, turns[i], outcomes[i], decision)
            except Exception as error:
                outcomes[i] = error
        return outcomes


def _memory_step(turn: Turn, words: Any) -> MemoryStep:
    rows = tuple(word.row for word in words)
    return MemoryStep(turn.state.episode_id, turn.step, rows, turn.state.history_digest, turn.length)


def _computed(agent: PolicyAgent, turn: Turn, found: Any, decision: Any) -> Computed:
    """The step, from its words and memory, and from what the policy says: parameters of the actions, and a value."""
    if isinstance(decision, BaseException):
        raise decision
    words, (_, rebuilt) = found
    parameters, value = decision
    digest = extend_history(turn.state.history_digest, tuple(word.row for word in words))
    return acted(turn, agent.heads, parameters, value, words=words, history_digest=digest, rebuilt=rebuilt)
