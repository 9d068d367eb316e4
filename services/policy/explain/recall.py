"""`Recall`: a committed step as it was decided, its words, its frame, its agent, so that it can be decided again.

Contract: the words are the committed ones, and the engines are those of Act. Nothing is written: Redis, memory slots and
recordings do not change.

Failure policy: every error is a ServiceError with a reason of errors.proto. At most MAX_RUNNING calls that decide again run
at once, MAX_OF_TENANT of one tenant; the caller's deadline is checked before every AT_ONCE histories.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from agent.frame import Observation
from agent.policy.actor_critic import Parameters
from services.policy import errors
from services.policy.agents import Agents, PolicyAgent
from services.policy.archive.reader import Episodes
from services.policy.backends.interfaces import Slots
from services.policy.explain.ablations import Rows, reach_from_step
from services.policy.observations import decode_observation
from services.policy.recording.frames import Frames
from services.protocol.values import CommittedStep, EncodedImage, EpisodeState
from services.runtime.auth import ANYBODY, caller
from services.runtime.errors import check_deadline, queue_full, too_many
from services.runtime.in_flight import InFlight
from services.store.records import Numbered

MAX_RUNNING, MAX_OF_TENANT = 8, 4
RETRY = 1.0  # seconds
AT_ONCE = 16  # histories of one call to memory
DIGITS = 6  # of a change: finer than float32 rounding here, so that what has no influence has 0
Decided = tuple[Parameters, float]  # parameters of the action distribution, value


@dataclass(frozen=True)
class Recalled:
    """A committed step, and what its policy saw."""

    state: EpisodeState
    step: int
    record: CommittedStep
    agent: PolicyAgent
    observation: Observation


def _has_words(steps: Sequence[Numbered], count: int) -> bool:
    """Whether steps hold as many words together."""
    return sum(len(record.words) for _, record in steps) >= count


def first_within(steps: Sequence[Numbered], reach: int) -> int:
    """The first of the steps, which follow one another, with a word among the last `reach` + 1; else the last."""
    words = 0
    for number, record in reversed(steps):
        words += len(record.words)
        if words > reach:
            return number
    return steps[0][0]


class Recall:
    """Reads committed steps, and decides them again with other histories."""

    def __init__(self, *, agents: Agents, episodes: Episodes, frames: Frames, memory: Slots) -> None:
        self._agents, self._episodes, self._frames, self._memory = agents, episodes, frames, memory
        self._running = 0
        self._of_tenant = InFlight(MAX_OF_TENANT, partial(too_many, "explanations", MAX_OF_TENANT, RETRY))

    @contextmanager
    def place(self) -> Iterator[None]:
        """Around a call that decides again; ServiceError if there are as many as may be."""
        if self._running >= MAX_RUNNING:
            raise queue_full("explain", retry_after=RETRY)
        self._running += 1
        try:
            with nullcontext() if caller() is ANYBODY else self._of_tenant.place():
                yield
        finally:
            self._running -= 1

    async def committed(self, episode_id: str, step: int, observation: EncodedImage | None) -> Recalled:
        """A committed step. observation: None to use the recorded frame."""
        state, record = await self._episodes.read(episode_id, step)
        if state is None:
            raise errors.episode_not_found(episode_id)
        if step > state.committed:
            raise errors.step_not_committed(episode_id, step, state.committed)
        if record is None:
            raise errors.step_too_old(episode_id, step, state.committed)
        agent = self._agents.pinned(state.agent_digest)
        if not isinstance(agent, PolicyAgent):
            raise errors.keeps_no_words(episode_id, state.agent)
        return Recalled(state, step, record, agent, await self._seen(state, step, record, agent, observation))

    async def steps(self, recalled: Recalled) -> list[Numbered]:
        """The step and those before it, the oldest first, with all words within reach."""
        agent = recalled.agent
        first = reach_from_step(recalled.step, tokens_per_step=agent.k, reach=agent.reach)
        found = await self._steps_from(recalled, first)
        return await self.more(recalled, found, lambda steps: _has_words(steps, agent.reach + 1))

    async def more(
        self, recalled: Recalled, found: list[Numbered], enough: Callable[[Sequence[Numbered]], bool]
    ) -> list[Numbered]:
        """Steps that were found, and as many before them as it takes until there are enough, or all."""
        while found[0][0] > 0 and not await asyncio.to_thread(enough, found):  # which may edit thousands of words
            found = await self._steps_from(recalled, max(0, found[0][0] - len(found)))
        return found

    async def decide(
        self, agent: PolicyAgent, recalled: Recalled, histories: Sequence[Rows], *, deadline: float | None
    ) -> dict[Rows, Decided]:
        """An agent's output for the step's frame with each history; equal histories are computed once."""
        distinct = list(dict.fromkeys(histories))
        features = await agent.encode.submit(recalled.observation, deadline=deadline)
        outcomes: dict[Rows, Decided] = {}
        for at in range(0, len(distinct), AT_ONCE):
            check_deadline(deadline)
            some = distinct[at : at + AT_ONCE]
            vectors = await self._memory.encode_histories(
                agent.bundle.digest, some, episode_id=recalled.state.episode_id, deadline=deadline
            )
            pairs: list[Any] = [(features, vector) for vector in vectors]
            decided = await asyncio.gather(*(agent.decide.submit(pair, deadline=deadline) for pair in pairs))
            outcomes.update(zip(some, decided, strict=True))
        return outcomes

    async def _steps_from(self, recalled: Recalled, first: int) -> list[Numbered]:
        state, step = recalled.state, recalled.step
        now, found = await self._episodes.steps(state.episode_id, first=first, limit=step - first + 1)
        if now is None or now.incarnation != state.incarnation:  # read before it expired, and another has its name
            raise errors.commit_conflict(state.episode_id, step)
        if [number for number, _ in found] != list(range(first, step + 1)):
            raise errors.reach_not_retained(state.episode_id, step, first, state.committed)
        return found

    async def _seen(
        self,
        state: EpisodeState,
        step: int,
        record: CommittedStep,
        agent: PolicyAgent,
        image: EncodedImage | None,
    ) -> Observation:
        if image:
            observation = await decode_observation(image, agent.bundle.manifest.observation)
            if observation.fingerprint != record.frame_fingerprint:
                raise errors.step_conflict(state.episode_id, step, state.committed)
            return observation
        recorded = await self._frames.of_step(state, step, record)
        if recorded is None:
            raise errors.frame_needed(state.episode_id, step)
        return Observation(recorded.frame, record.frame_fingerprint)
