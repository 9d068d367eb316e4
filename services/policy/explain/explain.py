"""ExplainStep: which remembered words influenced a step (docs/decisions/0007-attribution-by-removal.md).

Contract: the history is encoded without a word or a step, the actor-critic decides again on the same frame, and the two
distributions over actions are compared (total variation distance). The words are the committed ones, and the engines are
those of Act. Nothing is written: Redis, memory slots and recordings do not change. Changes are rounded to 6 digits, finer
than float32 rounding here, so that a word without influence has 0 and equal changes stay in the order of the steps.

Failure policy: every error is a ServiceError with a reason of errors.proto. At most MAX_RUNNING explanations run at once,
MAX_OF_TENANT of one tenant; the caller's deadline is checked before every AT_ONCE histories.
"""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from agent.frame import Observation
from agent.history import history_reach
from agent.policy.actor_critic import Parameters
from agent.policy.heads import choose, probabilities, total_variation
from services.policy import errors
from services.policy.agents import Agents, PolicyAgent
from services.policy.archive.reader import Episodes
from services.policy.backends.interfaces import Slots
from services.policy.explain.ablations import Ablation, History, Rows, history_of, reach_from_step
from services.policy.observations import decode_observation
from services.policy.recording.frames import Frames
from services.protocol.values import CommittedStep, Decision, EpisodeState, ExplainCall, Explanation, Influence
from services.runtime.auth import ANYBODY, caller
from services.runtime.errors import check_deadline, queue_full, too_many
from services.runtime.in_flight import InFlight

MAX_RUNNING, MAX_OF_TENANT = 8, 4
RETRY = 1.0  # seconds
AT_ONCE = 16  # histories of one call to memory
DIGITS = 6
_Outcome = tuple[Parameters, float]  # parameters of the action distribution, value


@dataclass(frozen=True)
class _Case:
    """What is to be explained."""

    state: EpisodeState
    step: int
    agent: PolicyAgent
    observation: Observation
    history: History


class Explainer:
    """Explains committed steps."""

    def __init__(self, *, agents: Agents, episodes: Episodes, frames: Frames, memory: Slots) -> None:
        self._agents, self._episodes, self._frames, self._memory = agents, episodes, frames, memory
        self._running = 0
        self._of_tenant = InFlight(MAX_OF_TENANT, partial(too_many, "explanations", MAX_OF_TENANT, RETRY))

    async def explain(self, call: ExplainCall, *, deadline: float | None) -> Explanation:
        """Explains one committed step. deadline: of `time.monotonic`."""
        if self._running >= MAX_RUNNING:
            raise queue_full("explain", retry_after=RETRY)
        self._running += 1
        try:
            with nullcontext() if caller() is ANYBODY else self._of_tenant.place():
                return await self._explain(call, deadline)
        finally:
            self._running -= 1

    async def _explain(self, call: ExplainCall, deadline: float | None) -> Explanation:
        state, record = await self._committed(call.episode_id, call.step)
        agent = self._agents.pinned(state.agent_digest)
        if not isinstance(agent, PolicyAgent):
            raise errors.keeps_no_words(call.episode_id, state.agent)
        first, history = await self._history(state, call.step, agent)
        observation = await self._observation(call, state, agent, record)
        case = _Case(state, call.step, agent, observation, history)
        by_word, by_step = history.without_each_word(), history.without_each_step(call.max_steps)
        outcomes = await self._outcomes(case, [history.rows, *(one.rows for one in (*by_word, *by_step))], deadline)
        whole = outcomes[history.rows]
        return Explanation(
            step=call.step,
            action=record.action,
            decision=_decision(agent, whole),
            by_word=_influences(agent, whole, by_word, outcomes),
            by_step=_influences(agent, whole, by_step, outcomes),
            reach_from_step=first,
        )

    async def _committed(self, episode_id: str, step: int) -> tuple[EpisodeState, CommittedStep]:
        state, record = await self._episodes.read(episode_id, step)
        if state is None:
            raise errors.episode_not_found(episode_id)
        if step > state.committed:
            raise errors.step_not_committed(episode_id, step, state.committed)
        if record is None:
            raise errors.step_too_old(episode_id, step, state.committed)
        return state, record

    async def _history(self, state: EpisodeState, step: int, agent: PolicyAgent) -> tuple[int, History]:
        """The first step within reach, and the words."""
        part = agent.bundle.manifest.memory
        reach = history_reach(part.layers, part.window)
        first = reach_from_step(step, tokens_per_step=agent.k, reach=reach)
        now, steps = await self._episodes.steps(state.episode_id, first=first, limit=step - first + 1)
        if now is None or now.incarnation != state.incarnation:  # read before it expired, and another has its name
            raise errors.commit_conflict(state.episode_id, step)
        if [number for number, _ in steps] != list(range(first, step + 1)):
            raise errors.reach_not_retained(state.episode_id, step, first, state.committed)
        return first, history_of(steps, reach=reach)

    async def _observation(
        self, call: ExplainCall, state: EpisodeState, agent: PolicyAgent, record: CommittedStep
    ) -> Observation:
        if call.observation:
            observation = await decode_observation(call.observation, agent.bundle.manifest.observation)
            if observation.fingerprint != record.frame_fingerprint:
                raise errors.step_conflict(state.episode_id, call.step, state.committed)
            return observation
        recorded = await self._frames.of_step(state.episode_id, call.step, record)
        if recorded is None:
            raise errors.frame_needed(state.episode_id, call.step)
        return Observation(recorded.frame, record.frame_fingerprint)

    async def _outcomes(self, case: _Case, histories: Sequence[Rows], deadline: float | None) -> dict[Rows, _Outcome]:
        """The policy's output for the frame with each history; equal histories are computed once."""
        agent, distinct = case.agent, list(dict.fromkeys(histories))
        features = await agent.encode.submit(case.observation, deadline=deadline)
        outcomes: dict[Rows, _Outcome] = {}
        for at in range(0, len(distinct), AT_ONCE):
            check_deadline(deadline)
            some = distinct[at : at + AT_ONCE]
            vectors = await self._memory.encode_histories(
                agent.bundle.digest, some, episode_id=case.state.episode_id, deadline=deadline
            )
            pairs: list[Any] = [(features, vector) for vector in vectors]
            decided = await asyncio.gather(*(agent.decide.submit(pair, deadline=deadline) for pair in pairs))
            outcomes.update(zip(some, decided, strict=True))
        return outcomes


def _decision(agent: PolicyAgent, outcome: _Outcome) -> Decision:
    row, value = outcome
    most_probable, _ = choose(agent.heads, row, seed=0, step=0, deterministic=True)
    return Decision(probabilities(agent.heads, row), most_probable, value)


def _influences(
    agent: PolicyAgent, whole: _Outcome, ablations: Sequence[Ablation], outcomes: dict[Rows, _Outcome]
) -> list[Influence]:
    """The most influential first; equals stay in their order."""
    found = [
        Influence(
            ablation.words,
            ablation.steps,
            round(total_variation(agent.heads, whole[0], outcomes[ablation.rows][0]), DIGITS),
            _decision(agent, outcomes[ablation.rows]),
        )
        for ablation in ablations
    ]
    return sorted(found, key=lambda one: -one.change)
