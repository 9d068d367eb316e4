"""Acts: retrieve -> remember -> decide -> commit, and the whole step rule (docs/architecture.md#step-rule).

Contract: nothing is visible before the commit, and the commit is atomic, so the process may die between any two lines and
the client may retry at any replica. A normal Act makes one Redis call, the commit at its end: the state of the episode is
cached from its last commit, and the commit checks that it is still current. The cached state is a guess, which may only lead
to a committed step: whatever else comes of it is dropped, and decided on the state that Redis has now. Acts of one episode
run one after the other in this process, and few wait for their turn; between processes the commit decides.

A batch of Acts is one unit of work: its items share the decoding, the calls, the forward passes and the trip to Redis, and
each is committed on its own and has its own outcome. A unit takes only locks that are free at once; an item whose episode is
busy runs alone beside it, so a batch never waits for an episode while it holds others.

Failure policy: every error is a ServiceError with a reason of errors.proto; an item of a unit fails alone. If another
replica has changed the episode in the meantime, the Act runs once more, from the state that it reads then; if that happens
again, the error is COMMIT_CONFLICT, which the client may retry.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

import grpc

from agent.frame import Observation
from services.policy import errors
from services.policy.admission import Admission
from services.policy.agents import Agents, ServedAgent
from services.policy.known import KnownEpisodes
from services.policy.observations import decode_observations
from services.policy.one_call import OneCall
from services.policy.pipeline import Pipeline
from services.policy.recording.recorder import Recorder
from services.policy.turns import Computed, Turn
from services.protocol.values import ActAnswer, ActCall, CommittedStep, EpisodeState, StageTimes
from services.runtime.batching import Batcher, outcome_of, together
from services.runtime.errors import ServiceError, check_deadline, queue_full
from services.runtime.logs import in_episode
from services.runtime.stages import StageTimer
from services.store.episodes import AlreadyCommitted, Commit, CommitOutcome, Committed, EpisodeStore, new_episode

COMMITS = 8  # trips to Redis at once
# Seconds until one of a crowd at one episode is told: told at once and together, all would be back at once and together.
BUSY = (0.2, 1.0)
PATIENCE = 0.002  # seconds that a commit waits for the trip before it, so that more commits share a trip
# Errors that say nothing of the episode.
PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.INTERNAL,
}
Outcome = ActAnswer | BaseException
_Known = tuple[EpisodeState | None, CommittedStep | None]  # an episode, and the step asked for if it is stored
_Found = tuple[EpisodeState, CommittedStep | None]


class _Turns(asyncio.Lock):
    """The turns of one episode. waiting: Acts that wait for theirs."""

    waiting = 0


class Actor:
    """Runs Acts.

    max_in_flight: Acts that may run at once; more get QUEUE_FULL. max_waiting: of these, Acts that may wait for the turn of
    one episode, beside the one that has it; more get QUEUE_FULL too. admission: None: nobody has a limit. timer: makes the
    timer of one Act.
    """

    def __init__(
        self,
        *,
        agents: Agents,
        store: EpisodeStore,
        pipeline: Pipeline | OneCall,
        max_in_flight: int,
        max_waiting: int = 1024,
        recorder: Recorder | None = None,
        admission: Admission | None = None,
        timer: Callable[[], StageTimer] = StageTimer,
        known_episodes: int = 100_000,
    ) -> None:
        self._agents, self._store, self._pipeline, self._recorder = agents, store, pipeline, recorder
        self._max_in_flight, self._in_flight, self._admission = max_in_flight, 0, admission
        self._max_waiting = max_waiting
        self._timer = timer
        self._known = KnownEpisodes(known_episodes)  # as of this process's last commits
        # Concurrent Acts share trips to Redis; nobody waits long for a trip that is under way.
        self._commits: Batcher[Commit, CommitOutcome] = Batcher(
            store.commit_all,
            name="commit",
            max_size=256,
            patience=PATIENCE,
            max_queue=2 * max_in_flight,
            concurrency=COMMITS,
        )
        self._locks: WeakValueDictionary[str, _Turns] = WeakValueDictionary()

    async def act(self, call: ActCall, *, deadline: float | None) -> ActAnswer:
        """Runs one Act: check the limit, wait for the episode's lock, try at most twice.

        Returns the new answer, or the stored one if the step is committed already.

        deadline: of `time.monotonic`.
        """
        in_episode(call.episode_id, call.step)
        if self._in_flight >= self._max_in_flight:
            raise queue_full("act")
        timer, lock = self._timer(), self._lock(call)
        if lock.waiting >= self._max_waiting:
            await asyncio.sleep(random.uniform(*BUSY))
            raise errors.episode_busy(call.episode_id, self._max_waiting)
        self._in_flight += 1
        try:
            with timer.stage("turn"):
                await _turn_of(lock)
            try:
                check_deadline(deadline)
                (outcome,) = await self._run([call], deadline, timer)
            finally:
                lock.release()
        finally:
            self._in_flight -= 1
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def act_batch(self, calls: Sequence[ActCall], *, deadline: float | None) -> list[Outcome]:
        """Runs one Act in each of several episodes, no episode twice; returns the answer or the error of each."""
        unit: list[int] = []
        alone: dict[int, asyncio.Task[ActAnswer | Exception]] = {}
        outcomes: list[Outcome] = [queue_full("act")] * len(calls)
        timer, locks = self._timer(), list[_Turns]()
        try:
            for i in sorted(range(len(calls)), key=lambda i: calls[i].episode_id):  # one order, so no deadlock
                lock = self._lock(calls[i])
                if lock.locked():
                    alone[i] = asyncio.create_task(outcome_of(self.act(calls[i], deadline=deadline)))
                elif self._in_flight < self._max_in_flight:
                    await lock.acquire()  # at once, unless somebody waits to whom it has just been released
                    locks.append(lock)
                    unit.append(i)
                    self._in_flight += 1
            try:
                found = await self._run_unit([calls[i] for i in unit], deadline, timer)
            finally:
                self._in_flight -= len(locks)
                for lock in locks:
                    lock.release()
            for i, outcome in zip([*unit, *alone], [*found, *[await task for task in alone.values()]], strict=True):
                outcomes[i] = outcome
        finally:
            for task in alone.values():
                task.cancel()
        return outcomes

    def forget(self, episode_id: str) -> None:
        """Drops the cached state of an episode."""
        self._known.forget(episode_id)

    def _lock(self, call: ActCall) -> _Turns:
        return self._locks.setdefault(call.episode_id, _Turns())

    async def _run_unit(self, calls: Sequence[ActCall], deadline: float | None, timer: StageTimer) -> list[Outcome]:
        """The outcomes of calls whose locks are held; an error of all of them is that of each."""
        if not calls:
            return []
        try:
            check_deadline(deadline)
            return await self._run(calls, deadline, timer)
        except Exception as error:
            return [error] * len(calls)

    async def _run(self, calls: Sequence[ActCall], deadline: float | None, timer: StageTimer) -> list[Outcome]:
        """Tries each call at most twice; again if it was tried on a guess that failed, or the episode has changed."""
        outcomes = await self._attempt(calls, deadline, timer)
        if again := [i for i, outcome in enumerate(outcomes) if outcome is None]:
            for i in again:
                self.forget(calls[i].episode_id)
            found = await self._attempt([calls[i] for i in again], deadline, timer)
            for i, outcome in zip(again, found, strict=True):
                if outcome is None:
                    self.forget(calls[i].episode_id)
                    outcome = errors.commit_conflict(calls[i].episode_id, calls[i].step)  # noqa: PLW2901
                outcomes[i] = outcome
        return [outcome for outcome in outcomes if outcome is not None]

    async def _attempt(self, calls: Sequence[ActCall], deadline: float | None, timer: StageTimer) -> list[Outcome | None]:
        """One try, from cached or stored states; None to try again, on stored states alone."""
        outcomes: list[Outcome | None] = [None] * len(calls)
        ready: dict[int, tuple[_Found, ServedAgent]] = {}
        known, guesses = await self._look_up(calls, timer)
        for i, found in enumerate(known):
            try:
                ready[i] = self._checked(calls[i], found)
            except Exception as error:
                outcomes[i] = error
        with timer.stage("decode"):
            sized = [(calls[i].observation, agent.bundle.manifest.observation) for i, (_, agent) in ready.items()]
            observations = await decode_observations(sized)
        turns: dict[str, dict[int, Turn]] = {}  # by agent
        for (i, ((state, stored), agent)), observation in zip(ready.items(), observations, strict=True):
            try:
                outcomes[i] = _replayed(state, calls[i].step, stored, observation, agent)
            except Exception as error:
                outcomes[i] = error
            if outcomes[i] is None and isinstance(observation, Observation):
                turns.setdefault(state.agent_digest, {})[i] = _turn(calls[i], state, observation)
        timers = [timer] if len(turns) == 1 else [timer.branch() for _ in turns]  # agents run at the same time
        taken = await together(
            [
                outcome_of(self._take(self._agents.pinned(digest), list(some.values()), deadline, one))
                for (digest, some), one in zip(turns.items(), timers, strict=True)
            ]
        )
        for some, answers in zip(turns.values(), taken, strict=True):
            for i, answer in zip(some, [answers] * len(some) if isinstance(answers, Exception) else answers, strict=True):
                outcomes[i] = answer
        for i in guesses:
            if _is_final(outcomes[i]):
                outcomes[i] = None
        return outcomes

    async def _take(
        self, agent: ServedAgent, turns: Sequence[Turn], deadline: float | None, timer: StageTimer
    ) -> list[Outcome | None]:
        """Computes and commits turns of one agent."""
        computed = await self._pipeline.compute(agent, turns, deadline=deadline, timer=timer)
        outcomes: list[Any] = [_of_computing(one) for one in computed]
        done = [(i, one) for i, one in enumerate(computed) if not isinstance(one, BaseException)]
        with timer.stage("commit"):
            commits = [(turns[i].state, turns[i].step, one.record) for i, one in done]
            committed = await self._commits.put(commits) if commits else []
        times = StageTimes(total=time.monotonic() - timer.started, stages=timer.seconds)
        for (i, one), outcome in zip(done, committed, strict=True):
            try:
                outcomes[i] = self._answer(agent, turns[i], one, outcome, times)
            except Exception as error:
                outcomes[i] = error
        return outcomes

    def _answer(
        self,
        agent: ServedAgent,
        turn: Turn,
        computed: Computed,
        outcome: CommitOutcome | BaseException,
        times: StageTimes,
    ) -> ActAnswer | None:
        """The answer to a step that was committed, here or first by another replica; None to try again."""
        state, step, record = turn.state, turn.step, computed.record
        if isinstance(outcome, BaseException):
            raise outcome
        if isinstance(outcome, Committed):
            length = state.length + len(record.words)
            state = replace(
                state,
                committed=step,
                history_digest=record.history_digest,
                length=length,
                policy_state=record.policy_state,
            )
            self._known.learn(state)
            if self._recorder:
                self._recorder.put(state.episode_id, step, turn.observation.frame)
            return ActAnswer(
                state=state,
                step=step,
                record=record,
                window=agent.window,
                rebuilt=computed.rebuilt,
                times=times,
                distribution=computed.distribution,
            )
        self.forget(state.episode_id)
        if isinstance(outcome, AlreadyCommitted):
            state = replace(state, committed=outcome.committed)
            replayed = _replay(state, step, outcome.step, turn.observation, agent)
            if self._recorder:
                self._recorder.put(state.episode_id, step, turn.observation.frame)
            return replayed
        if outcome.reason == "STALE":
            return None
        raise errors.of_commit(outcome.reason, state.episode_id, step, outcome.committed)

    async def _look_up(self, calls: Sequence[ActCall], timer: StageTimer) -> tuple[list[_Known | Exception], list[int]]:
        """The state of each episode, and the stored step if it is committed already; which of them are guesses."""
        known = [self._known.get(call.episode_id) for call in calls]
        found: list[_Known | Exception] = [(state, None) for state in known]
        unknown = {i for i, state in enumerate(known) if state is None or calls[i].step != state.committed + 1}
        if unknown:
            with timer.stage("read"):
                read = await self._store.read_all([(calls[i].episode_id, calls[i].step) for i in unknown])
            for i, one in zip(unknown, read, strict=True):
                found[i] = one
        return found, [i for i in range(len(calls)) if i not in unknown]

    def _checked(self, call: ActCall, found: _Known | Exception) -> tuple[_Found, ServedAgent]:
        """The state, of a new episode if there is none yet and this is its first step, and its agent."""
        if isinstance(found, Exception):
            raise found
        known, stored = found
        if known is None:
            if call.step > 0:
                raise errors.episode_not_found(call.episode_id)
            if self._admission:
                self._admission.begin(call.episode_id)
            bundle = self._agents.find(call.agent).bundle
            deterministic = bool(call.deterministic)
            known = new_episode(call.episode_id, agent=bundle.name, agent_digest=bundle.digest, deterministic=deterministic)
        elif call.agent not in ("", known.agent, known.agent_digest):
            raise errors.agent_mismatch(known.episode_id, known.agent, call.agent)
        return (known, stored), self._agents.pinned(known.agent_digest)


async def _turn_of(lock: _Turns) -> None:
    lock.waiting += 1
    try:
        await lock.acquire()
    finally:
        lock.waiting -= 1


def _of_computing(outcome: Computed | BaseException) -> BaseException | None:
    """None to try again: the memory service found another history, so another replica has committed steps."""
    if isinstance(outcome, ServiceError) and outcome.reason == "HISTORY_MISMATCH":
        return None
    return outcome if isinstance(outcome, BaseException) else None


def _is_final(outcome: object) -> bool:
    """Whether an outcome is a refusal that no retry of the client would change."""
    return isinstance(outcome, ServiceError) and outcome.code not in PASSING


def _turn(call: ActCall, state: EpisodeState, observation: Observation) -> Turn:
    deterministic = state.deterministic if call.deterministic is None else call.deterministic
    return Turn(state, call.step, observation, deterministic, call.distribution)


def _replayed(
    state: EpisodeState,
    step: int,
    stored: CommittedStep | None,
    observation: Observation | ServiceError,
    agent: ServedAgent,
) -> ActAnswer | None:
    """The stored answer of a committed step; None if the step is the next one; else the step rule's error."""
    if isinstance(observation, ServiceError):
        raise observation
    if step <= state.committed:
        return _replay(state, step, stored, observation, agent)
    _check_next(state, step)
    return None


def _replay(
    state: EpisodeState, step: int, stored: CommittedStep | None, observation: Observation, agent: ServedAgent
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
