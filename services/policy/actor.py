"""One Act: retrieve -> remember -> decide -> commit, and the whole step rule (docs/architecture.md#step-rule).

Contract: nothing is visible before the commit, and the commit is atomic, so the process may die between any two lines and
the client may retry at any replica. A normal Act makes one Redis call, the commit at its end: the state of the episode is
cached from its last commit, and the commit checks that it is still current. Acts of one episode run one after the other in
this process; between processes the commit decides.

Failure policy: every error is a ServiceError with a reason of errors.proto. If another replica has committed steps in the
meantime, the cached state is dropped and the Act runs once more; if that happens again, the error is COMMIT_CONFLICT, which
the client may retry.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from weakref import WeakValueDictionary

from agent.frame import Observation
from services.policy import errors
from services.policy.agents import Agents, PolicyAgent
from services.policy.observations import decode_observation
from services.policy.pipeline import Pipeline, Turn
from services.policy.recording.recorder import Recorder
from services.protocol.values import ActAnswer, ActCall, CommittedStep, EpisodeState, StageTimes
from services.runtime.errors import ServiceError, check_deadline, queue_full
from services.runtime.logs import in_episode
from services.runtime.stages import StageTimer
from services.store.episodes import AlreadyCommitted, Committed, EpisodeStore, new_episode

TRIES = 2


class Actor:
    """Runs Acts. max_in_flight: Acts that may run at once; more get QUEUE_FULL. timer: makes the timer of one Act."""

    def __init__(
        self,
        *,
        agents: Agents,
        store: EpisodeStore,
        pipeline: Pipeline,
        max_in_flight: int,
        recorder: Recorder | None = None,
        timer: Callable[[], StageTimer] = StageTimer,
        known_episodes: int = 100_000,
    ) -> None:
        self._agents, self._store, self._pipeline, self._recorder = agents, store, pipeline, recorder
        self._max_in_flight, self._in_flight = max_in_flight, 0
        self._timer = timer
        self._known_episodes = known_episodes
        self._known: OrderedDict[str, EpisodeState] = OrderedDict()  # as of this process's last commits
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def act(self, call: ActCall, *, deadline: float | None) -> ActAnswer:
        """Runs one Act: check the limit, wait for the episode's lock, try at most twice.

        Returns the new answer, or the stored one if the step is committed already.

        deadline: of `time.monotonic`.
        """
        in_episode(call.episode_id, call.step)
        if self._in_flight >= self._max_in_flight:
            raise queue_full("act")
        timer, lock = self._timer(), self._locks.setdefault(call.episode_id, asyncio.Lock())
        self._in_flight += 1
        try:
            with timer.stage("turn"):
                await lock.acquire()
            try:
                check_deadline(deadline)
                for _ in range(TRIES):
                    if answer := await self._attempt(call, deadline, timer):
                        return answer
                    self.forget(call.episode_id)  # another replica has committed steps
                raise errors.commit_conflict(call.episode_id, call.step)
            finally:
                lock.release()
        finally:
            self._in_flight -= 1

    def forget(self, episode_id: str) -> None:
        """Drops the cached state of an episode."""
        self._known.pop(episode_id, None)

    async def _attempt(self, call: ActCall, deadline: float | None, timer: StageTimer) -> ActAnswer | None:
        """One try, from the cached or stored state; None if another replica has changed the episode in the meantime."""
        state, stored = await self._look_up(call, timer)
        agent = self._agents.pinned(state.agent_digest)
        with timer.stage("decode"):
            observation = await decode_observation(call.observation, agent.bundle.manifest.observation)
        if call.step <= state.committed:
            return _replay(state, call.step, stored, observation, agent)
        _check_next(state, call.step)
        deterministic = state.deterministic if call.deterministic is None else call.deterministic
        turn = Turn(state, call.step, observation, agent, deterministic, deadline, timer)
        try:
            record, rebuilt = await self._pipeline.compute(turn)
        except ServiceError as error:
            if error.reason == "HISTORY_MISMATCH":
                return None
            raise
        answer = await self._commit(turn, record, rebuilt=rebuilt)
        if answer and self._recorder:
            self._recorder.put(call.episode_id, call.step, observation.frame)
        return answer

    async def _commit(self, turn: Turn, record: CommittedStep, *, rebuilt: bool) -> ActAnswer | None:
        """Commits a computed step, or returns the stored answer if another replica was first; None to try again."""
        state, step = turn.state, turn.step
        with turn.timer.stage("commit"):
            outcome = await self._store.commit(state, step, record)
        if isinstance(outcome, Committed):
            length = state.length + len(record.words)
            state = replace(state, committed=step, history_digest=record.history_digest, length=length)
            self._learn(state)
            times = StageTimes(total=time.monotonic() - turn.timer.started, stages=turn.timer.seconds)
            window = turn.agent.window
            return ActAnswer(state=state, step=step, record=record, window=window, rebuilt=rebuilt, times=times)
        self.forget(state.episode_id)
        if isinstance(outcome, AlreadyCommitted):
            state = replace(state, committed=outcome.committed)
            return _replay(state, step, outcome.step, turn.observation, turn.agent)
        if outcome.reason == "STALE":
            return None
        raise errors.of_commit(outcome.reason, state.episode_id, step, outcome.committed)

    async def _look_up(self, call: ActCall, timer: StageTimer) -> tuple[EpisodeState, CommittedStep | None]:
        """The episode's state (cached, from Redis, or new), and the stored step if it is committed already."""
        known = self._known.get(call.episode_id)
        stored = None
        if known is None or call.step != known.committed + 1:
            with timer.stage("read"):
                known, stored = await self._store.read(call.episode_id, call.step)
        if known is None:
            if call.step > 0:
                raise errors.episode_not_found(call.episode_id)
            bundle = self._agents.find(call.agent).bundle
            deterministic = bool(call.deterministic)
            began = new_episode(call.episode_id, agent=bundle.name, agent_digest=bundle.digest, deterministic=deterministic)
            return began, None
        if call.agent not in ("", known.agent, known.agent_digest):
            raise errors.agent_mismatch(known.episode_id, known.agent, call.agent)
        return known, stored

    def _learn(self, state: EpisodeState) -> None:
        self._known[state.episode_id] = state
        self._known.move_to_end(state.episode_id)
        if len(self._known) > self._known_episodes:
            self._known.popitem(last=False)


def _replay(
    state: EpisodeState, step: int, stored: CommittedStep | None, observation: Observation, agent: PolicyAgent
) -> ActAnswer:
    """The stored answer, if this is the frame it was given for."""
    if stored is None:
        raise errors.step_too_old(state.episode_id, step, state.committed)
    if stored.frame_fingerprint != observation.fingerprint:
        raise errors.step_conflict(state.episode_id, step, state.committed)
    return ActAnswer(state=state, step=step, record=stored, window=agent.window, replayed=True)


def _check_next(state: EpisodeState, step: int) -> None:
    if step > state.committed + 1:
        raise errors.step_gap(state.episode_id, step, state.committed)
    if state.ended:
        raise errors.episode_ended(state.episode_id, state.committed)
