"""The computation of one step: retrieve -> remember -> decide. Nothing here is visible outside before it is committed.

Contract: pure in the sense of the step rule: the same episode, history and frame give the same words and the same
drawn action. The CNN works on the frame while retrieval and memory are asked. Failure policy: their errors are passed
on.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from shelm.v1 import agent_pb2

from services.domain.frame import Frame, frame_fingerprint
from services.domain.history import MemoryStep, extend_history
from services.policy.agents import PolicyAgent
from services.policy.convert import action_message
from services.policy.episodes import EpisodeState, Step
from services.policy.heads import choose
from services.policy.peers import Memory, Retrieval
from services.runtime import traces


@dataclass
class Clock:
    """Time of each stage in seconds."""

    started: float = field(default_factory=time.monotonic)
    stages: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the time inside to a stage, and shows it in the trace."""
        started = time.monotonic()
        with traces.span(name):
            yield
        self.stages[name] = self.stages.get(name, 0) + time.monotonic() - started

    def timing(self) -> agent_pb2.Timing:
        """For the reply."""
        micros = {f"{stage}_us": int(seconds * 1e6) for stage, seconds in self.stages.items()}
        return agent_pb2.Timing(total_us=int((time.monotonic() - self.started) * 1e6), **micros)


@dataclass(frozen=True)
class Turn:
    """What one Act works with."""

    request: agent_pb2.ActRequest
    state: EpisodeState
    agent: PolicyAgent
    frame: Frame
    deadline: float | None
    clock: Clock

    @property
    def deterministic(self) -> bool:
        """Whether to take the most probable action."""
        own = self.request.HasField("deterministic")
        return self.request.deterministic if own else self.state.deterministic


class Pipeline:
    """Retrieval, memory and actor-critic in a row."""

    def __init__(self, retrieval: Retrieval, memory: Memory) -> None:
        self._retrieval, self._memory = retrieval, memory

    async def compute(self, turn: Turn) -> tuple[Step, bool]:
        """The step as it will be committed, and whether the memory state was rebuilt for it."""
        state, step, agent, deadline = turn.state, turn.request.step, turn.agent, turn.deadline
        digest = agent.bundle.digest
        encoding = asyncio.ensure_future(agent.encode.submit(turn.frame, deadline=deadline))  # meanwhile
        encoding.add_done_callback(lambda task: task.cancelled() or task.exception())  # if nobody waits for it any more
        try:
            with turn.clock.stage("retrieval"):
                tokens = await self._retrieval.words(digest, turn.frame, deadline=deadline)
            words = tuple(token.id for token in tokens)
            memory_step = MemoryStep(state.episode_id, step, words, state.history)
            with turn.clock.stage("memory"):
                remembered, rebuilt = await self._memory.remember(digest, memory_step, deadline=deadline)
            with turn.clock.stage("policy"):
                parameters, value = await agent.decide.submit((await encoding, remembered.vector), deadline=deadline)
        finally:
            encoding.cancel()
        action, log_prob = choose(agent.heads, parameters, seed=state.seed, step=step, deterministic=turn.deterministic)
        record = Step(
            tokens=tokens,
            action=action_message(action),
            value=value,
            log_prob=log_prob,
            frame_fingerprint=frame_fingerprint(turn.frame),
            history_digest=extend_history(state.history, words),
        )
        record.time.GetCurrentTime()
        return record, rebuilt
