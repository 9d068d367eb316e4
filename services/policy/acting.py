"""One Act: validate -> retrieve -> remember -> decide -> commit (architecture section 4), and the whole step rule.

Contract: nothing is visible before the commit, and the commit is atomic, so an Act may die between any two lines and
be retried anywhere. On the good path Redis is asked once, at the end: what is known of an episode is kept from its
last commit and is only a guess that the commit checks. Acts of one episode go one after the other in this process;
between processes the commit decides.

Failure policy: every refusal is a ServiceError with a reason of docs/protocol.md. If another replica has gone on
meanwhile, the guess is dropped and the Act runs once more; if that happens again, it is COMMIT_CONFLICT, which may be
retried.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from shelm.v1 import agent_pb2

from services.domain.frame import Frame, frame_fingerprint
from services.policy import refusals, telemetry
from services.policy.agents import Agents, PolicyAgent
from services.policy.episodes import AlreadyCommitted, Committed, EpisodeState, EpisodeStore, Step, new_episode
from services.policy.pipeline import Clock, Pipeline, Turn
from services.policy.recorder import Recorder
from services.policy.validation import check_episode_id, check_observation, check_step
from services.runtime import traces
from services.runtime.errors import ServiceError, check_deadline, queue_full
from services.runtime.logs import in_episode

log = logging.getLogger(__name__)
TRIES = 2


@dataclass(frozen=True)
class _Answer:
    """What to tell the client."""

    state: EpisodeState
    step: int
    record: Step
    committed: int
    replayed: bool = False
    rebuilt: bool = False


class Actor:
    """Takes steps of episodes. max_in_flight: Acts under way at once; more are refused."""

    def __init__(
        self,
        *,
        agents: Agents,
        store: EpisodeStore,
        pipeline: Pipeline,
        max_in_flight: int,
        recorder: Recorder | None = None,
        known_episodes: int = 100_000,
    ) -> None:
        self._agents, self._store, self._pipeline, self._recorder = agents, store, pipeline, recorder
        self._max_in_flight, self._in_flight = max_in_flight, 0
        self._known_episodes = known_episodes
        self._known: OrderedDict[str, EpisodeState] = OrderedDict()  # as of this process's last commits
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def act(self, request: agent_pb2.ActRequest, *, deadline: float | None) -> agent_pb2.ActResponse:
        """Takes the step or says what is committed. deadline: of `time.monotonic`."""
        with traces.begin("act"), telemetry.acting() as act:
            check_episode_id(request.episode_id)
            check_step(request.step)
            in_episode(request.episode_id, request.step)
            traces.note(**{"shelm.episode_id": request.episode_id, "shelm.step": request.step})
            response = await self._admit(request, deadline)
            act.answered(self._agents.pinned(response.agent_digest).bundle.name, response)
            log.debug(act.outcome)
            return response

    async def _admit(self, request: agent_pb2.ActRequest, deadline: float | None) -> agent_pb2.ActResponse:
        if self._in_flight >= self._max_in_flight:
            raise queue_full("act")
        self._in_flight += 1
        try:
            async with self._turn(request.episode_id):
                return await self._act(request, deadline)
        finally:
            self._in_flight -= 1

    def forget(self, episode_id: str) -> None:
        """Drops what is known of an episode."""
        self._known.pop(episode_id, None)

    @asynccontextmanager
    async def _turn(self, episode_id: str) -> AsyncIterator[None]:
        lock = self._turns.setdefault(episode_id, asyncio.Lock())
        with traces.span("turn"):
            await lock.acquire()
        try:
            yield
        finally:
            lock.release()

    async def _act(self, request: agent_pb2.ActRequest, deadline: float | None) -> agent_pb2.ActResponse:
        check_deadline(deadline)
        clock = Clock()
        for _ in range(TRIES):
            state, stored = await self._look_up(request)
            agent = self._agents.pinned(state.agent_digest)
            with clock.stage("decode"):
                frame = await _decode(request, agent)
            if request.step <= state.committed:
                return self._response(_replay(state, request.step, stored, state.committed, frame), None)
            _check_next(state, request.step)
            answer = await self._take(Turn(request, state, agent, frame, deadline, clock))
            if answer:
                if self._recorder:
                    self._recorder.put(request.episode_id, request.step, frame)
                return self._response(answer, None if answer.replayed else clock.timing())
            self.forget(request.episode_id)  # another replica has gone on
        raise refusals.commit_conflict(request.episode_id, request.step)

    async def _look_up(self, request: agent_pb2.ActRequest) -> tuple[EpisodeState, Step | None]:
        """The episode as it is known here or in Redis, or as it would begin; and the step, if it is committed."""
        known = self._known.get(request.episode_id)
        stored = None
        if known is None or request.step != known.committed + 1:
            with traces.span("read"):
                known, stored = await self._store.read(request.episode_id, request.step)
        if known is None:
            if request.step > 0:
                raise refusals.episode_not_found(request.episode_id)
            return self._begin(request), None
        if request.agent not in ("", known.agent, known.agent_digest):
            raise refusals.agent_mismatch(known.episode_id, known.agent, request.agent)
        return known, stored

    def _begin(self, request: agent_pb2.ActRequest) -> EpisodeState:
        bundle = self._agents.find(request.agent).bundle
        return new_episode(
            request.episode_id, agent=bundle.name, agent_digest=bundle.digest, deterministic=request.deterministic
        )

    async def _take(self, turn: Turn) -> _Answer | None:
        """Computes and commits the next step; None if the episode has changed under it."""
        state, step = turn.state, turn.request.step
        try:
            record, rebuilt = await self._pipeline.compute(turn)
        except ServiceError as error:
            if error.reason == "HISTORY_MISMATCH":
                return None
            raise
        with turn.clock.stage("commit"):
            outcome = await self._store.commit(state, step, record, record.history_digest)
        if isinstance(outcome, Committed):
            length = state.length + len(record.tokens)
            self._learn(replace(state, committed=step, history=record.history_digest, length=length))
            return _Answer(state, step, record, step, rebuilt=rebuilt)
        self.forget(state.episode_id)
        if isinstance(outcome, AlreadyCommitted):
            return _replay(state, step, outcome.step, outcome.committed, turn.frame)
        if outcome.reason == "STALE":
            return None
        raise refusals.of_commit(outcome.reason, state.episode_id, step, outcome.committed)

    def _learn(self, state: EpisodeState) -> None:
        self._known[state.episode_id] = state
        self._known.move_to_end(state.episode_id)
        if len(self._known) > self._known_episodes:
            self._known.popitem(last=False)

    def _response(self, answer: _Answer, timing: agent_pb2.Timing | None) -> agent_pb2.ActResponse:
        record = answer.record
        length = (answer.step + 1) * len(record.tokens)
        window = self._agents.window(answer.state.agent_digest)
        return agent_pb2.ActResponse(
            episode_id=answer.state.episode_id,
            step=answer.step,
            action=record.action,
            committed_step=answer.committed,
            replayed=answer.replayed,
            tokens=record.tokens,
            value=record.value,
            log_prob=record.log_prob,
            memory=agent_pb2.Memory(length=length, window=window, rebuilt=answer.rebuilt),
            agent_digest=answer.state.agent_digest,
            timing=timing,
        )


async def _decode(request: agent_pb2.ActRequest, agent: PolicyAgent) -> Frame:
    if request.observation.encoding == agent_pb2.ENCODING_RAW_RGB8:
        return check_observation(request, agent.bundle.manifest)
    # A compressed file takes milliseconds to decode, which the event loop must not spend.
    return await asyncio.to_thread(check_observation, request, agent.bundle.manifest)


def _replay(state: EpisodeState, step: int, stored: Step | None, committed: int, frame: Frame) -> _Answer:
    """The stored answer, if this is the frame it was given for."""
    if stored is None:
        raise refusals.step_too_old(state.episode_id, step, committed)
    if stored.frame_fingerprint != frame_fingerprint(frame):
        raise refusals.step_conflict(state.episode_id, step, committed)
    return _Answer(state, step, stored, committed, replayed=True)


def _check_next(state: EpisodeState, step: int) -> None:
    if step > state.committed + 1:
        raise refusals.step_gap(state.episode_id, step, state.committed)
    if state.ended:
        raise refusals.episode_ended(state.episode_id, state.committed)
