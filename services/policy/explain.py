"""ExplainStep: which words of the past decided a step (docs/decisions/0007).

Contract: the memory is imagined without a word or a step, the actor-critic decides again on the same frame, and the two
distributions over actions are compared (total variation distance). The words are the committed ones, the engines those
of Act. Reads only: Redis, memory slots and recordings stay as they are. Changes are rounded to 6 digits, which is more than
the arithmetic keeps, so that what has no influence is 0 and equals stand in the order of the steps.

Failure policy: every refusal is a ServiceError with a reason of docs/protocol.md. At most MAX_RUNNING explanations run at
once; the caller's deadline is looked at before each few histories.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shelm.v1 import agent_pb2

from services.domain.frame import Frame, frame_fingerprint
from services.domain.history import history_reach
from services.policy import refusals
from services.policy.agents import Agents, Parameters, PolicyAgent
from services.policy.convert import action_message
from services.policy.episodes import EpisodeState, EpisodeStore, Step
from services.policy.frames import Frames
from services.policy.heads import choose, probabilities, total_variation
from services.policy.peers import Memory
from services.policy.validation import check_episode_id, check_observation, check_page_size, check_step
from services.policy.variants import History, Variant, Words, history_of, reach_from_step
from services.runtime.errors import check_deadline, queue_full

MAX_RUNNING = 8
AT_ONCE = 16  # histories of one call to memory
DEFAULT_STEPS = 64
DIGITS = 6
_Outcome = tuple[Parameters, float]  # parameters of the action distribution, value


@dataclass(frozen=True)
class _Case:
    """What is to be explained."""

    state: EpisodeState
    step: int
    agent: PolicyAgent
    frame: Frame
    history: History


class Explainer:
    """Explains committed steps."""

    def __init__(self, *, agents: Agents, store: EpisodeStore, frames: Frames, memory: Memory) -> None:
        self._agents, self._store, self._frames, self._memory = agents, store, frames, memory
        self._running = 0

    async def explain(
        self, request: agent_pb2.ExplainStepRequest, *, deadline: float | None
    ) -> agent_pb2.ExplainStepResponse:
        """See agent.proto. deadline: of `time.monotonic`."""
        check_episode_id(request.episode_id)
        check_step(request.step)
        most = check_page_size(request.max_steps, "max_steps", DEFAULT_STEPS)
        if self._running >= MAX_RUNNING:
            raise queue_full("explain", retry_after=1.0)
        self._running += 1
        try:
            return await self._explain(request, most, deadline)
        finally:
            self._running -= 1

    async def _explain(
        self, request: agent_pb2.ExplainStepRequest, most: int, deadline: float | None
    ) -> agent_pb2.ExplainStepResponse:
        state, record = await self._committed(request.episode_id, request.step)
        agent = self._agents.pinned(state.agent_digest)
        first, history = await self._history(state, request.step, agent)
        frame = await self._frame(request, state, agent, record)
        case = _Case(state, request.step, agent, frame, history)
        words, steps = history.without_each_word(), history.without_each_step(most)
        outcomes = await self._outcomes(case, [history.words, *(one.words for one in (*words, *steps))], deadline)
        whole = outcomes[history.words]
        return agent_pb2.ExplainStepResponse(
            step=request.step,
            action=record.action,
            decision=_decision(agent, whole),
            words=_influences(agent, whole, words, outcomes),
            steps=_influences(agent, whole, steps, outcomes),
            reach_from_step=first,
        )

    async def _committed(self, episode_id: str, step: int) -> tuple[EpisodeState, Step]:
        state, record = await self._store.read(episode_id, step)
        if state is None:
            raise refusals.episode_not_found(episode_id)
        if step > state.committed:
            raise refusals.step_not_committed(episode_id, step, state.committed)
        if record is None:
            raise refusals.step_too_old(episode_id, step, state.committed)
        return state, record

    async def _history(self, state: EpisodeState, step: int, agent: PolicyAgent) -> tuple[int, History]:
        """The first step within reach, and the words."""
        part = agent.bundle.manifest.memory
        reach = history_reach(part.layers, part.window)
        first = reach_from_step(step, tokens_per_step=agent.k, reach=reach)
        _, steps = await self._store.steps(state.episode_id, first=first, limit=step - first + 1)
        if [number for number, _ in steps] != list(range(first, step + 1)):
            raise refusals.reach_not_retained(state.episode_id, step, first, state.committed)
        return first, history_of(steps, reach=reach)

    async def _frame(
        self, request: agent_pb2.ExplainStepRequest, state: EpisodeState, agent: PolicyAgent, record: Step
    ) -> Frame:
        if request.HasField("observation"):
            frame = await asyncio.to_thread(check_observation, request, agent.bundle.manifest)
            if frame_fingerprint(frame) != record.frame_fingerprint:
                raise refusals.step_conflict(state.episode_id, request.step, state.committed)
            return frame
        recorded = await self._frames.of_step(state.episode_id, request.step, record)
        if recorded is None:
            raise refusals.frame_needed(state.episode_id, request.step)
        return recorded.frame

    async def _outcomes(self, case: _Case, histories: Sequence[Words], deadline: float | None) -> dict[Words, _Outcome]:
        """What the policy makes of the frame with each history; equal histories are computed once."""
        agent, distinct = case.agent, list(dict.fromkeys(histories))
        features = await agent.encode.submit(case.frame, deadline=deadline)
        outcomes: dict[Words, _Outcome] = {}
        for at in range(0, len(distinct), AT_ONCE):
            check_deadline(deadline)
            some = distinct[at : at + AT_ONCE]
            vectors = await self._memory.imagine(
                agent.bundle.digest, some, episode_id=case.state.episode_id, deadline=deadline
            )
            pairs: list[Any] = [(features, vector) for vector in vectors]
            decided = await asyncio.gather(*(agent.decide.submit(pair, deadline=deadline) for pair in pairs))
            outcomes.update(zip(some, decided, strict=True))
        return outcomes


def _decision(agent: PolicyAgent, outcome: _Outcome) -> agent_pb2.Decision:
    row, value = outcome
    most_probable, _ = choose(agent.heads, row, seed=0, step=0, deterministic=True)
    return agent_pb2.Decision(
        probabilities=probabilities(agent.heads, row), most_probable=action_message(most_probable), value=value
    )


def _influences(
    agent: PolicyAgent, whole: _Outcome, variants: Sequence[Variant], outcomes: dict[Words, _Outcome]
) -> list[agent_pb2.Influence]:
    """The most influential first; equals stay in their order."""
    found = [
        agent_pb2.Influence(
            tokens=variant.tokens,
            steps=variant.steps,
            change=round(total_variation(agent.heads, whole[0], outcomes[variant.words][0]), DIGITS),
            without=_decision(agent, outcomes[variant.words]),
        )
        for variant in variants
    ]
    return sorted(found, key=lambda one: -one.change)
