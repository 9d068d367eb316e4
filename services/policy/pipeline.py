"""The computation of one step: retrieve -> remember -> decide. Nothing here is visible outside before it is committed.

Contract: deterministic: the same episode, history and frame give the same words and the same action, sampled or greedy. The
CNN encodes the frame while retrieval and memory run. Failure policy: their errors are raised unchanged.
"""

import asyncio
import time
from dataclasses import dataclass

from agent.frame import Observation
from agent.history import MemoryStep, extend_history
from agent.policy.heads import choose
from services.policy.agents import PolicyAgent
from services.policy.backends.interfaces import Memory, Retrieval
from services.protocol.values import CommittedStep, EpisodeState
from services.runtime.stages import StageTimer


@dataclass(frozen=True, slots=True)
class Turn:
    """The inputs of one step. deterministic: choose the most probable action. deadline: of `time.monotonic`."""

    state: EpisodeState
    step: int
    observation: Observation
    agent: PolicyAgent
    deterministic: bool
    deadline: float | None
    timer: StageTimer


class Pipeline:
    """Runs retrieval, memory and actor-critic one after the other."""

    def __init__(self, retrieval: Retrieval, memory: Memory) -> None:
        self._retrieval, self._memory = retrieval, memory

    async def compute(self, turn: Turn) -> tuple[CommittedStep, bool]:
        """Returns the step to commit, and whether the memory state had to be rebuilt."""
        state, step, agent, deadline = turn.state, turn.step, turn.agent, turn.deadline
        digest = agent.bundle.digest
        encoding = asyncio.ensure_future(agent.encode.submit(turn.observation.frame, deadline=deadline))  # meanwhile
        encoding.add_done_callback(lambda task: task.cancelled() or task.exception())  # if nobody waits for it any more
        try:
            with turn.timer.stage("retrieval"):
                words = await self._retrieval.words(digest, turn.observation, deadline=deadline)
            rows = tuple(word.row for word in words)
            with turn.timer.stage("memory"):
                memory_step = MemoryStep(state.episode_id, step, rows, state.history_digest)
                remembered, rebuilt = await self._memory.remember(digest, memory_step, deadline=deadline)
            with turn.timer.stage("policy"):
                parameters, value = await agent.decide.submit((await encoding, remembered.vector), deadline=deadline)
        finally:
            encoding.cancel()
        action, log_prob = choose(agent.heads, parameters, seed=state.seed, step=step, deterministic=turn.deterministic)
        record = CommittedStep(
            words=words,
            action=action,
            value=value,
            log_prob=log_prob,
            frame_fingerprint=turn.observation.fingerprint,
            history_digest=extend_history(state.history_digest, rows),
            time_us=time.time_ns() // 1000,
        )
        return record, rebuilt
