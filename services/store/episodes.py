"""`EpisodeStore`: episodes in Redis, and the atomic commit that makes Acts exactly-once.

Contract: `commit` appends a step if and only if it is the next one of an episode that has not ended and whose history is the
one that the step was computed from; otherwise it changes nothing and returns what is committed. It may be repeated. Policy
is the only writer. A name may be used again when its episode is gone; a commit for the earlier one is refused. `index` has
every episode that has begun or ended here, before the caller is answered.

Failure policy: STORE_UNAVAILABLE if Redis cannot be reached. After a commit without an answer it is unknown whether the step
was stored; committing the same step again tells. EPISODE_DAMAGED if what is stored is not whole, in the outcome of that
episode alone where several are asked for.
"""

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import grpc

from agent.history import empty_history
from services.protocol.branches import stored_branch
from services.protocol.names import split_name, tenant_of
from services.protocol.steps import stored_step
from services.protocol.values import CommittedStep, EpisodeState
from services.runtime.batching import outcome_of, together
from services.runtime.errors import ServiceError
from services.runtime.slices import Slices
from services.runtime.tokens import AT
from services.store.errors import episode_damaged, store_error, store_errors
from services.store.index import EpisodeIndex
from services.store.keys import deletion_key, entry_id, episode_key, episode_of_key, history_key
from services.store.readiness import why_not_ready
from services.store.records import (
    FIELDS,
    FIELDS_TO_ACT,
    Numbered,
    check_whole,
    fields_of,
    pairs,
    read_entry,
    read_record,
    read_state,
)
from services.store.redis import scan_page
from services.store.replication import FreeingScript, NotReplicated, Scripts
from services.store.scripts import ARCHIVED, BRANCH, COMMIT, CREATE, DELETE, END, STANDING


def new_episode(
    episode_id: str, *, agent: str, agent_digest: str, seed: int | None = None, deterministic: bool = False
) -> EpisodeState:
    """The state of an episode before its first step. The default seed is a hash of its name, so that replicas agree.

    It is the same for every tenant: the same name, agent and frames give the same actions.
    """
    if seed is None:
        name, _ = split_name(episode_id)
        seed = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little") >> 1
    return EpisodeState(
        episode_id=episode_id,
        agent=agent,
        agent_digest=agent_digest,
        seed=seed,
        deterministic=deterministic,
        history_digest=empty_history(agent_digest),
        incarnation=secrets.token_hex(8),
    )


@dataclass(frozen=True)
class Committed:
    """The step has been stored."""


@dataclass(frozen=True)
class AlreadyCommitted:
    """The step was committed before; `step` is what is stored."""

    committed: int
    step: CommittedStep


@dataclass(frozen=True)
class Refused:
    """Nothing changed. reason: NOT_FOUND, TOO_OLD, GAP, ENDED, or STALE: the step was computed from another state, or for
    another episode of this name; `committed` is of the one that is stored.
    """

    reason: str
    committed: int


CommitOutcome = Committed | AlreadyCommitted | Refused
PROBE_TTL_MS = 10_000
STATES = 25  # read at once
READ = 1000  # steps at once
SCANS = 100  # for one page: most keys may be of other tenants
DELETION_SECONDS = 3600
MOST_STEPS = 2**53  # of an episode
Commit = tuple[EpisodeState, int, CommittedStep]  # an episode's state before a step, the step, what to store
Known = tuple[EpisodeState | None, CommittedStep | None]


class EpisodeStore:
    """Episodes in a Redis or Redis Cluster.

    client: of `connect_redis`. ttl: seconds that a running episode is kept after its last change. ended_ttl: the same of one
    that has ended; where there is an archive, of one that is in it. retained: steps kept per episode. archive: episodes that
    have ended are to be archived, and stay as long as running ones until they are. replicas: how many of Redis must
    have a change before it is answered; replica_wait: the seconds that they have for it. slices: of the process's long work.
    """

    def __init__(
        self,
        client: Any,
        *,
        ttl: float,
        retained: int,
        ended_ttl: float | None = None,
        archive: bool = False,
        replicas: int = 0,
        replica_wait: float = 1.0,
        slices: Slices | None = None,
    ) -> None:
        self._client, self._slices = client, slices or Slices()
        self._ttl_ms, self._retained = int(ttl * 1000), retained
        self._ended_ttl_ms = self._ttl_ms if ended_ttl is None else int(ended_ttl * 1000)
        self._archive = archive
        self._scripts, self._replicas = Scripts(client, replicas=replicas, seconds=replica_wait), replicas
        self._commit = self._scripts.register(COMMIT)
        self._create = self._scripts.register(CREATE)
        self._branch = self._scripts.register(BRANCH)
        self._standing = self._scripts.register(STANDING)
        self._end = FreeingScript(self._scripts, END)
        self._archived = FreeingScript(self._scripts, ARCHIVED)
        self._delete = FreeingScript(self._scripts, DELETE)
        self.index = EpisodeIndex(client, self._in_turn)

    async def missing(self) -> list[str]:
        """Why this Redis cannot take commits; empty if it can. Commits a step on keys of its own, at every primary."""
        probe = new_episode("probe", agent="", agent_digest="")
        now, _, *rest = self._creation(probe, _now_us())
        arguments = [0, probe.history_digest, b"", b"", 1, 1, now, PROBE_TTL_MS, *rest]
        return await why_not_ready(
            self._client, lambda keys: self._scripts.one(self._commit, keys, arguments), probe.incarnation
        )

    async def commit(self, state: EpisodeState, step: int, record: CommittedStep) -> CommitOutcome:
        """Appends `record` as `step`; creates the episode at step 0."""
        (outcome,) = await self.commit_all([(state, step, record)])
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def commit_all(self, commits: Sequence[Commit]) -> list[CommitOutcome | Exception]:
        """Commits steps of several episodes in one trip to Redis, each atomically and with its own outcome."""
        now = _now_us()
        runs = [(_keys(state.episode_id), self._arguments(state, step, record, now)) for state, step, record in commits]
        answers = await self._scripts.run(self._commit, runs)
        asked = list(zip(commits, answers, strict=True))
        outcomes = [_commit_outcome(state.episode_id, step, answer) for (state, step, _), answer in asked]
        await self.index.put(
            replace(state, created_us=now)
            for (state, step, _), outcome in zip(commits, outcomes, strict=True)
            if step == 0 and not state.created_us and outcome == Committed()  # began with it
        )
        return outcomes

    async def create(self, state: EpisodeState) -> EpisodeState:
        """Creates the episode; if one of that name exists, returns it unchanged."""
        keys, creation = _keys(state.episode_id), self._creation(state, _now_us())
        with store_errors(state.episode_id):
            answer = await self._scripts.one(self._create, keys, creation)
        return await self._entered(state.episode_id, answer)

    async def branch(self, state: EpisodeState, steps: Sequence[Numbered]) -> EpisodeState:
        """Creates a branch with its steps, the last of which is the committed one; if an episode of that name exists,
        returns it unchanged.
        """
        assert state.branch is not None
        now, ttl, agent, digest, seed, flag, _, incarnation = self._creation(state, _now_us())
        creation = [now, ttl, agent, digest, seed, flag, state.history_digest, incarnation]
        entries = await self._slices.each(lambda one: (entry_id(one[0]), stored_step(one[1])), steps)
        origin = [state.committed, state.length, stored_branch(state.branch)]
        with store_errors(state.episode_id):
            answer = await self._scripts.one(self._branch, _keys(state.episode_id), [*creation, *origin, *chain(*entries)])
        return await self._entered(state.episode_id, answer)

    async def _entered(self, episode_id: str, answer: Any) -> EpisodeState:
        """The episode in a script's answer, after it is in the index as well."""
        ttl_ms, values = answer
        state = read_state(episode_id, pairs(values), ttl_ms)
        await self.index.put([state])
        return state

    async def whole(self, episode_id: str) -> tuple[EpisodeState | None, list[Numbered]]:
        """Reads the episode with all its retained steps, oldest first; None if it is gone, or another takes its name."""
        begun, steps = await self.steps(episode_id, first=0, limit=READ)
        found = steps
        while begun and len(found) == READ:
            state, found = await self.steps(episode_id, first=found[-1][0] + 1, limit=READ)
            if state is None or state.incarnation != begun.incarnation:
                return None, []
            steps = [*steps, *found]
        return begun, steps

    async def end(self, episode_id: str, total_reward: float | None = None) -> tuple[EpisodeState, bool] | None:
        """Marks the episode as ended. The first `total_reward` (finite) that is given is kept.

        Returns the episode, and whether this call ended it; None if there is no such episode.
        """
        now, reward = _now_us(), "" if total_reward is None else repr(total_reward)
        keys, left = _keys(episode_id), self._ttl_ms if self._archive else self._ended_ttl_ms
        with store_errors(episode_id):
            answer = await self._end(keys, [now, left, reward])
        if not answer:
            return None
        state = await self._entered(episode_id, answer)
        return state, state.updated_us == now  # written only when it had not ended before

    async def archived(self, state: EpisodeState) -> bool:
        """Marks an ended episode as archived, so that it expires early; False if there is no such one any more."""
        keys = _keys(state.episode_id)
        with store_errors(state.episode_id):
            return bool(await self._archived(keys, [state.incarnation, self._ended_ttl_ms]))

    async def delete(self, episode_id: str) -> bool:
        """Deletes the episode, damaged or not; returns whether there was one."""
        keys = [*_keys(episode_id), deletion_key(episode_id)]
        with store_errors():
            deleted, digest, created = await self._delete(keys, [DELETION_SECONDS if self._archive else 0])
        if created.isdigit():
            await self.index.drop(episode_id, digest.decode(errors="replace"), int(created))
        return bool(deleted)

    async def lately_deleted(self, episode_id: str) -> bool:
        """Whether an episode of that name was deleted in the last `DELETION_SECONDS`; known where there is an archive."""
        with store_errors():
            return bool(await self._client.exists(deletion_key(episode_id)))

    async def read(self, episode_id: str, step: int | None = None) -> Known:
        """Reads the episode and, if `step` is given, that committed step, in one transaction."""
        if step is None:
            (known,) = await self._states([episode_id])
            if isinstance(known, ServiceError):
                raise known
            return known, None
        state, found = await self._look(episode_id, range(step, step + 1), None)
        return state, found[0][1] if found else None

    async def read_all(self, wanted: Sequence[tuple[str, int]]) -> list[Known | Exception]:
        """Does the same as `read` for several (episode, step) at once; an episode that cannot be read has its error.

        A step that is found is one that no failover loses, as far as commits are such: it may be told to a client.
        """
        return await together([outcome_of(self._read_standing(*one)) for one in wanted])

    async def _read_standing(self, episode_id: str, step: int) -> Known:
        """Reads an episode and a step. Where replicas are waited for, the step is there once they have what was read."""
        state, found = await self.read(episode_id, step)
        if self._replicas and state and found:
            with store_errors(episode_id):
                answer = await self._scripts.one(self._standing, _keys(episode_id), [state.incarnation, step])
                if not answer:
                    raise NotReplicated("a step was read at a primary that has been replaced since")
        return state, found

    async def steps(self, episode_id: str, *, first: int, limit: int) -> tuple[EpisodeState | None, list[Numbered]]:
        """Reads the episode and up to `limit` committed steps from `first` on, oldest first, in one transaction."""
        return await self._look(episode_id, range(first, MOST_STEPS), limit)

    async def _look(self, episode_id: str, wanted: range, limit: int | None) -> tuple[EpisodeState | None, list[Numbered]]:
        """The episode and those of the wanted steps that are committed and retained, at most `limit`."""
        episode, history = _keys(episode_id)
        with store_errors(episode_id):
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.hmget(episode, FIELDS_TO_ACT)
                pipe.pttl(episode)
                pipe.xrange(history, entry_id(wanted.start), entry_id(wanted.stop - 1), limit)
                pipe.xrange(history, "-", "+", 1)
                values, ttl_ms, entries, oldest = await pipe.execute()
        if not any(values):
            return None, []
        state = read_state(episode_id, fields_of(values), ttl_ms)
        check_whole(state, wanted, limit, entries, oldest)
        return state, await self._slices.each(lambda entry: read_entry(episode_id, *entry), entries)

    async def wait_for_step(self, episode_id: str, step: int, *, seconds: float) -> None:
        """Returns when this step or a later one is stored, at once if one is, or after some seconds."""
        key, before = history_key(episode_id), f"{step}-{2**64 - 1}" if step else "0-0"
        with store_errors(episode_id):
            # XREAD waits for what comes after an id; a step's id is its number + 1.
            await self._client.xread({key: before}, count=1, block=int(seconds * 1000))

    async def page(
        self, cursor: int, size: int, *, tenant: str | None = None
    ) -> tuple[int, list[EpisodeState | ServiceError]]:
        """Returns the next cursor and some episodes, or the error of each that is damaged; cursor 0 begins, and a returned 0
        ends. tenant: whose; empty: those without tenant; None: all.
        """
        cursor, names = await self.names(cursor, size, tenant=tenant)
        found: list[EpisodeState | ServiceError] = []
        for first in range(0, len(names), STATES):
            found += [state for state in await self._in_turn(names[first : first + STATES]) if state is not None]
        return cursor, found

    async def names(self, cursor: int, size: int, *, tenant: str | None = None) -> tuple[int, list[str]]:
        """Does the same as `page`, but returns full names."""
        match = episode_key(f"*{AT}{tenant}" if tenant else "*")
        for _ in range(SCANS):
            async with self._slices.turn():
                with store_errors():
                    cursor, keys = await scan_page(self._client, cursor, match=match, count=max(size, 10))
            # No name of ours is replaced here; what somebody else's key becomes names nothing.
            names = sorted({episode_of_key(key.decode(errors="replace")) for key in keys})
            if tenant == "":
                names = [name for name in names if not tenant_of(name)]
            if names or not cursor:
                break
        return cursor, names

    async def _in_turn(self, names: Sequence[str]) -> list[EpisodeState | ServiceError | None]:
        """What is known of each episode, so that the calls of others have their turn in between."""
        async with self._slices.turn():
            return await self._states(names)

    async def _states(self, names: Sequence[str]) -> list[EpisodeState | ServiceError | None]:
        """What is known of each episode; its error if it is damaged, None if there is none."""
        if not names:
            return []
        with store_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.hmget(episode_key(name), FIELDS)
                    pipe.pttl(episode_key(name))
                answers = await pipe.execute(raise_on_error=False)
        return [_state_or_error(*one) for one in zip(names, answers[::2], answers[1::2], strict=True)]

    def _arguments(self, state: EpisodeState, step: int, record: CommittedStep, now: int) -> list[Any]:
        before, after, creation = state.history_digest, record.history_digest, self._creation(state, now)
        arguments = [step, before, after, stored_step(record), len(record.words), self._retained, *creation]
        return [*arguments, record.policy_state] if record.policy_state else arguments

    def _creation(self, state: EpisodeState, now: int) -> list[Any]:
        empty = empty_history(state.agent_digest)
        flag = int(state.deterministic)
        return [now, self._ttl_ms, state.agent, state.agent_digest, state.seed, flag, empty, state.incarnation]


def _commit_outcome(episode_id: str, step: int, answer: Any) -> CommitOutcome | Exception:
    """What the script's answer says; an error is the outcome of this step alone."""
    if isinstance(answer, Exception):
        return store_error(answer, episode_id)
    kind, committed, *rest = answer
    if kind == b"OK":
        return Committed()
    if kind == b"DAMAGED":
        return episode_damaged(episode_id, "its steps are not those that were committed")
    if kind == b"COMMITTED":
        try:
            return AlreadyCommitted(int(committed), read_record(episode_id, step, rest[0]))
        except ServiceError as error:
            return error
    return Refused(kind.decode(), int(committed))


def _state_or_error(episode_id: str, values: Any, ttl_ms: Any) -> EpisodeState | ServiceError | None:
    """An episode's state from the answers to HMGET and PTTL. Raises STORE_UNAVAILABLE, which is nobody's alone."""
    for answer in (values, ttl_ms):
        if isinstance(answer, Exception):
            error = store_error(answer, episode_id)
            if error.code is grpc.StatusCode.UNAVAILABLE:
                raise error
            return error
    try:
        return read_state(episode_id, fields_of(values), ttl_ms) if any(values) else None
    except ServiceError as error:
        return error


def _keys(episode_id: str) -> list[str]:
    return [episode_key(episode_id), history_key(episode_id)]


def _now_us() -> int:
    return time.time_ns() // 1000
