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
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from weakref import WeakValueDictionary

from shelm.v1 import agent_pb2

from services.domain.frame import Frame, frame_fingerprint
from services.domain.history import MemoryStep, extend_history
from services.policy import refusals
from services.policy.agents import Agents, PolicyAgent
from services.policy.episodes import AlreadyCommitted, Committed, EpisodeState, EpisodeStore, Step, new_episode
from services.policy.model import choose_action
from services.policy.peers import Memory, Retrieval
from services.policy.validation import check_episode_id, check_observation, check_step
from services.runtime.errors import ServiceError, deadline_passed, queue_full

TRIES = 2


@dataclass
class _Clock:
    """Time of each stage in seconds."""

    started: float = field(default_factory=time.monotonic)
    stages: dict[str, float] = field(default_factory=dict)

    def lap(self, stage: str, since: float) -> float:
        now = time.monotonic()
        self.stages[stage] = self.stages.get(stage, 0) + now - since
        return now

    def timing(self) -> agent_pb2.Timing:
        micros = {f"{stage}_us": int(seconds * 1e6) for stage, seconds in self.stages.items()}
        return agent_pb2.Timing(total_us=int((time.monotonic() - self.started) * 1e6), **micros)


@dataclass(frozen=True)
class _Answer:
    """What to tell the client."""

    state: EpisodeState
    step: int
    record: Step
    committed: int
    replayed: bool = False
    rebuilt: bool = False


@dataclass(frozen=True)
class _Turn:
    """What one Act works with."""

    request: agent_pb2.ActRequest
    state: EpisodeState
    agent: PolicyAgent
    frame: Frame
    deadline: float | None
    clock: _Clock

    @property
    def deterministic(self) -> bool:
        own = self.request.HasField("deterministic")
        return self.request.deterministic if own else self.state.deterministic


class Actor:
    """Takes steps of episodes. max_in_flight: Acts under way at once; more are refused."""

    def __init__(
        self,
        *,
        agents: Agents,
        store: EpisodeStore,
        retrieval: Retrieval,
        memory: Memory,
        max_in_flight: int,
        known_episodes: int = 100_000,
    ) -> None:
        self._agents, self._store, self._retrieval, self._memory = agents, store, retrieval, memory
        self._max_in_flight, self._in_flight = max_in_flight, 0
        self._known_episodes = known_episodes
        self._known: OrderedDict[str, EpisodeState] = OrderedDict()  # as of this process's last commits
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def act(self, request: agent_pb2.ActRequest, *, deadline: float | None) -> agent_pb2.ActResponse:
        """Takes the step or says what is committed. deadline: of `time.monotonic`."""
        check_episode_id(request.episode_id)
        check_step(request.step)
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
        async with lock:
            yield

    async def _act(self, request: agent_pb2.ActRequest, deadline: float | None) -> agent_pb2.ActResponse:
        if deadline is not None and deadline <= time.monotonic():
            raise deadline_passed()
        clock = _Clock()
        for _ in range(TRIES):
            state, stored = await self._look_up(request)
            agent = self._agents.pinned(state.agent_digest)
            started = time.monotonic()
            frame = await _decode(request, agent)
            clock.lap("decode", started)
            if request.step <= state.committed:
                return self._response(_replay(state, request.step, stored, state.committed, frame), None)
            _check_next(state, request.step)
            answer = await self._take(_Turn(request, state, agent, frame, deadline, clock))
            if answer:
                return self._response(answer, None if answer.replayed else clock.timing())
            self.forget(request.episode_id)  # another replica has gone on
        raise refusals.commit_conflict(request.episode_id, request.step)

    async def _look_up(self, request: agent_pb2.ActRequest) -> tuple[EpisodeState, Step | None]:
        """The episode as it is known here or in Redis, or as it would begin; and the step, if it is committed."""
        known = self._known.get(request.episode_id)
        stored = None
        if known is None or request.step != known.committed + 1:
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

    async def _take(self, turn: _Turn) -> _Answer | None:
        """Computes and commits the next step; None if the episode has changed under it."""
        state, step = turn.state, turn.request.step
        try:
            record, rebuilt = await self._compute(turn)
        except ServiceError as error:
            if error.reason == "HISTORY_MISMATCH":
                return None
            raise
        started = time.monotonic()
        outcome = await self._store.commit(state, step, record, record.history_digest)
        turn.clock.lap("commit", started)
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

    async def _compute(self, turn: _Turn) -> tuple[Step, bool]:
        """The step as it will be committed, and whether the memory state was rebuilt for it."""
        state, step, agent, deadline = turn.state, turn.request.step, turn.agent, turn.deadline
        digest = agent.bundle.digest
        encoding = asyncio.ensure_future(agent.encode.submit(turn.frame, deadline=deadline))  # meanwhile
        encoding.add_done_callback(lambda task: task.cancelled() or task.exception())  # if nobody waits for it any more
        try:
            now = time.monotonic()
            tokens = await self._retrieval.words(digest, turn.frame, deadline=deadline)
            now = turn.clock.lap("retrieval", now)
            words = tuple(token.id for token in tokens)
            memory_step = MemoryStep(state.episode_id, step, words, state.history)
            remembered, rebuilt = await self._memory.remember(digest, memory_step, deadline=deadline)
            now = turn.clock.lap("memory", now)
            logits, value = await agent.decide.submit((await encoding, remembered.vector), deadline=deadline)
            turn.clock.lap("policy", now)
        finally:
            encoding.cancel()
        action, log_prob = choose_action(logits, seed=state.seed, step=step, deterministic=turn.deterministic)
        record = Step(
            tokens=tokens,
            action=agent_pb2.Action(discrete=action),
            value=value,
            log_prob=log_prob,
            frame_fingerprint=frame_fingerprint(turn.frame),
            history_digest=extend_history(state.history, words),
        )
        record.time.GetCurrentTime()
        return record, rebuilt

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
