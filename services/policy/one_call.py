"""The computation of a step by one call of Triton: its model `act` retrieves, remembers and decides.

Contract: as services.policy.pipeline, with retrieval and memory in the model; neither of their services is asked. A slot
miss is an answer: the history is read from Redis, and the same step is sent again with it. Turns go to Triton one by one, at
the same time, and Triton forms the batches.

Failure policy: a turn fails alone. The errors are those of services.triton.act, and of services.store.history.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from agent.history import extend_history, words_needed
from agent.memory.slots import SlotMiss
from services.policy.agents import PolicyAgent, ServedAgent, WordlessAgent
from services.policy.turns import Computed, Turn, acted
from services.policy.wordless import compute_wordless
from services.runtime.batching import outcome_of, together
from services.runtime.stages import StageTimer
from services.store.history import HistoryReader
from services.triton.act import Acted, ActStep, TritonAct


class OneCall:
    """The models `act` by the digest of their bundle: the computation of steps, and the `Slots` of all of them."""

    def __init__(self, models: Mapping[str, TritonAct], histories: HistoryReader) -> None:
        self._models, self._histories = models, histories

    async def compute(
        self, agent: ServedAgent, turns: Sequence[Turn], *, deadline: float | None, timer: StageTimer
    ) -> list[Computed | BaseException]:
        """Computes one step in each of several episodes of one agent. deadline: of `time.monotonic`."""
        if isinstance(agent, WordlessAgent):
            return await compute_wordless(agent, turns, deadline=deadline, timer=timer)
        assert isinstance(agent, PolicyAgent)
        with timer.stage("policy"):
            return list(await together([outcome_of(self._computed(agent, turn, deadline)) for turn in turns]))

    async def encode_histories(
        self, agent_digest: str, histories: Sequence[Sequence[int]], *, episode_id: str, deadline: float | None
    ) -> list[NDArray[np.float32]]:
        """The memory vectors, float32 (dimension,), of histories that need not exist. episode_id: not needed."""
        return await self._models[agent_digest].slots.encode_histories(histories, deadline=deadline)

    async def forget(self, episode_ids: Sequence[str]) -> int:
        """Drops memory slots; returns how many there were."""
        return sum([await model.slots.forget(episode_ids) for model in self._models.values()])

    async def _computed(self, agent: PolicyAgent, turn: Turn, deadline: float | None) -> Computed:
        found, rebuilt = await self._found(self._models[agent.bundle.digest], turn, agent.k, deadline)
        digest = extend_history(turn.state.history_digest, tuple(word.row for word in found.words))
        decision = found.parameters, found.value
        return acted(turn, agent.heads, *decision, words=found.words, history_digest=digest, rebuilt=rebuilt)

    async def _found(self, model: TritonAct, turn: Turn, k: int, deadline: float | None) -> tuple[Acted, bool]:
        """What the model finds, and whether the memory state was rebuilt. k: words per step."""
        state, number = turn.state, turn.step
        step = ActStep(state.episode_id, number, state.history_digest, turn.observation.frame, turn.length)
        answer = await model.act(step, deadline=deadline)
        if isinstance(answer, Acted):
            return answer, False
        past = await self._histories.last_words(
            state.episode_id,
            step=number,
            steps=answer.steps,
            digest=state.history_digest,
            words=words_needed(turn.length, answer.steps, k),
        )
        answer = await model.act(step, past=past, deadline=deadline)
        if isinstance(answer, SlotMiss):
            raise RuntimeError("a slot that was just rebuilt does not hold its history")
        return answer, True
