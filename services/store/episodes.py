"""`EpisodeStore`: episodes in Redis, and the atomic commit that makes Acts exactly-once.

Contract: `commit` appends a step if and only if it is the next one of an episode that has not ended and whose history is the
one that the step was computed from; otherwise it changes nothing and returns what is committed. It may be repeated. Policy
is the only writer.

Failure policy: STORE_UNAVAILABLE if Redis cannot be reached. After a commit without an answer it is unknown whether the step
was stored; committing the same step again tells.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent.history import empty_history
from services.protocol.steps import read_stored_step, stored_step
from services.protocol.values import CommittedStep, EpisodeState
from services.runtime.batching import outcome_of, together
from services.store.keys import STEP_FIELD, deletion_key, entry_id, episode_key, episode_of_key, history_key
from services.store.redis import run_scripts, scan_page, store_errors
from services.store.scripts import ARCHIVED, COMMIT, CREATE, DELETE, END

DELETION_SECONDS = 3600
Numbered = tuple[int, CommittedStep]  # the step's number first


def new_episode(
    episode_id: str, *, agent: str, agent_digest: str, seed: int | None = None, deterministic: bool = False
) -> EpisodeState:
    """The state of an episode before its first step. The default seed is a hash of its name, so that replicas agree."""
    if seed is None:
        seed = int.from_bytes(hashlib.blake2b(episode_id.encode(), digest_size=8).digest(), "little") >> 1
    return EpisodeState(
        episode_id=episode_id,
        agent=agent,
        agent_digest=agent_digest,
        seed=seed,
        deterministic=deterministic,
        history_digest=empty_history(agent_digest),
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
    """Nothing changed. reason: NOT_FOUND, TOO_OLD, GAP, ENDED or STALE (the step was computed from another state)."""

    reason: str
    committed: int


CommitOutcome = Committed | AlreadyCommitted | Refused
Commit = tuple[EpisodeState, int, CommittedStep]  # an episode's state before a step, the step, what to store
Known = tuple[EpisodeState | None, CommittedStep | None]


class EpisodeStore:
    """Episodes in a Redis or Redis Cluster.

    client: of `connect_redis`. ttl: seconds that a running episode is kept after its last change. ended_ttl: the same of one
    that has ended; where there is an archive, of one that is in it. retained: steps kept per episode. archive: episodes that
    have ended are to be archived, and stay as long as running ones until they are.
    """

    def __init__(
        self, client: Any, *, ttl: float, retained: int, ended_ttl: float | None = None, archive: bool = False
    ) -> None:
        self._client = client
        self._ttl_ms, self._retained = int(ttl * 1000), retained
        self._ended_ttl_ms = self._ttl_ms if ended_ttl is None else int(ended_ttl * 1000)
        self._archive = archive
        self._commit = client.register_script(COMMIT)
        self._create = client.register_script(CREATE)
        self._end = client.register_script(END)
        self._archived = client.register_script(ARCHIVED)
        self._delete = client.register_script(DELETE)

    async def ping(self) -> None:
        """Raises STORE_UNAVAILABLE if Redis does not answer."""
        with store_errors():
            await self._client.ping()

    async def commit(self, state: EpisodeState, step: int, record: CommittedStep) -> CommitOutcome:
        """Appends `record` as `step`; creates the episode at step 0."""
        (outcome,) = await self.commit_all([(state, step, record)])
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def commit_all(self, commits: Sequence[Commit]) -> list[CommitOutcome | Exception]:
        """Commits steps of several episodes in one trip to Redis, each atomically and with its own outcome."""
        runs = [(_keys(state.episode_id), self._commit_arguments(state, step, record)) for state, step, record in commits]
        answers = await run_scripts(self._client, self._commit, runs)
        return [_commit_outcome(answer) for answer in answers]

    async def create(self, state: EpisodeState) -> EpisodeState:
        """Creates the episode; if one of that name exists, returns it unchanged."""
        with store_errors():
            values = await self._create(keys=_keys(state.episode_id), args=self._creation(state))
        return _state(state.episode_id, _pairs(values), self._ttl_ms)

    async def end(self, episode_id: str, total_reward: float | None = None) -> tuple[EpisodeState, bool] | None:
        """Marks the episode as ended. The first `total_reward` (finite) that is given is kept.

        Returns the episode, and whether this call ended it; None if there is no such episode.
        """
        now, reward = _now_us(), "" if total_reward is None else repr(total_reward)
        left = self._ttl_ms if self._archive else self._ended_ttl_ms
        with store_errors():
            values = await self._end(keys=_keys(episode_id), args=[now, left, reward])
        if not values:
            return None
        state = _state(episode_id, _pairs(values), self._ttl_ms)
        return state, state.updated_us == now  # written only when it had not ended before

    async def archived(self, state: EpisodeState) -> bool:
        """Marks an ended episode as archived, so that it expires early; False if there is no such episode any more."""
        keys = _keys(state.episode_id)
        with store_errors():
            return bool(await self._archived(keys=keys, args=[state.created_us, self._ended_ttl_ms]))

    async def delete(self, episode_id: str) -> bool:
        """Deletes the episode; returns whether there was one."""
        keys = [*_keys(episode_id), deletion_key(episode_id)]
        with store_errors():
            return bool(await self._delete(keys=keys, args=[DELETION_SECONDS if self._archive else 0]))

    async def lately_deleted(self, episode_id: str) -> bool:
        """Whether an episode of that name was deleted in the last `DELETION_SECONDS`; known where there is an archive."""
        with store_errors():
            return bool(await self._client.exists(deletion_key(episode_id)))

    async def read(self, episode_id: str, step: int | None = None) -> tuple[EpisodeState | None, CommittedStep | None]:
        """Reads the episode and, if `step` is given, that committed step, in one transaction."""
        entry = entry_id(step or 0)
        state, found = await self._look(episode_id, entry, entry)
        return state, found[0][1] if found and step is not None else None

    async def read_all(self, wanted: Sequence[tuple[str, int]]) -> list[Known | Exception]:
        """Does the same as `read` for several (episode, step) at once; an episode that cannot be read has its error."""
        return await together([outcome_of(self.read(*one)) for one in wanted])

    async def steps(self, episode_id: str, *, first: int, limit: int) -> tuple[EpisodeState | None, list[Numbered]]:
        """Reads the episode and up to `limit` committed steps from `first` on, oldest first, in one transaction."""
        return await self._look(episode_id, entry_id(first), "+", count=limit)

    async def _look(
        self, episode_id: str, low: str, high: str, count: int | None = None
    ) -> tuple[EpisodeState | None, list[Numbered]]:
        """The episode and at most `count` of the steps whose entries lie between `low` and `high`."""
        with store_errors():
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.hgetall(episode_key(episode_id))
                pipe.pttl(episode_key(episode_id))
                pipe.xrange(history_key(episode_id), low, high, count)
                values, ttl_ms, entries = await pipe.execute()
        if not values:
            return None, []
        return _state(episode_id, values, ttl_ms), [_numbered(*entry) for entry in entries]

    async def watch(self, episode_id: str, *, first: int, wait: float) -> list[Numbered]:
        """Returns the committed steps from `first` on; waits up to `wait` seconds if there is none yet."""
        with store_errors():
            # XREAD returns what comes after an id; a step's id is its number + 1.
            after = f"{first}-{2**64 - 1}" if first else "0-0"
            found = await self._client.xread({history_key(episode_id): after}, count=100, block=int(wait * 1000))
        entries = (found or {}).values() if isinstance(found, dict) else [pair[1] for pair in found or []]
        return [_numbered(*entry) for group in entries for entry in _flat(group)]

    async def page(self, cursor: int, size: int) -> tuple[int, list[EpisodeState]]:
        """Returns the next cursor and some episodes; cursor 0 begins, and a returned 0 ends."""
        with store_errors():
            cursor, keys = await scan_page(self._client, cursor, match=episode_key("*"), count=max(size, 10))
            names = sorted({episode_of_key(key.decode()) for key in keys})
            if not names:
                return cursor, []
            async with self._client.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.hgetall(episode_key(name))
                    pipe.pttl(episode_key(name))
                answers = await pipe.execute()
        found = zip(names, answers[::2], answers[1::2], strict=True)
        return cursor, [_state(name, values, ttl_ms) for name, values, ttl_ms in found if values]

    def _commit_arguments(self, state: EpisodeState, step: int, record: CommittedStep) -> list[Any]:
        before, after = state.history_digest, record.history_digest
        return [step, before, after, stored_step(record), len(record.words), self._retained, *self._creation(state)]

    def _creation(self, state: EpisodeState) -> list[Any]:
        empty = empty_history(state.agent_digest)
        flag = int(state.deterministic)
        return [_now_us(), self._ttl_ms, state.agent, state.agent_digest, state.seed, flag, empty]


def _commit_outcome(answer: Any) -> CommitOutcome | Exception:
    """What the script's answer says; an error stays one."""
    if isinstance(answer, Exception):
        return answer
    kind, committed, *rest = answer
    if kind == b"OK":
        return Committed()
    if kind == b"COMMITTED":
        try:
            return AlreadyCommitted(int(committed), read_stored_step(rest[0]))
        except Exception as error:  # what is stored is damaged: the other steps of the trip are not
            return error
    return Refused(kind.decode(), int(committed))


def _keys(episode_id: str) -> list[str]:
    return [episode_key(episode_id), history_key(episode_id)]


def _now_us() -> int:
    return time.time_ns() // 1000


def _pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _step(fields: dict[bytes, bytes]) -> CommittedStep:
    return read_stored_step(fields[STEP_FIELD.encode()])


def _numbered(entry: bytes, fields: dict[bytes, bytes]) -> Numbered:
    return int(entry.split(b"-")[0]) - 1, _step(fields)


def _flat(group: Any) -> Any:
    """RESP3 wraps a stream's entries in one more list than RESP2."""
    return group[0] if group and isinstance(group[0], list) else group


def _state(episode_id: str, values: dict[bytes, bytes], ttl_ms: int) -> EpisodeState:
    return EpisodeState(
        episode_id=episode_id,
        agent=values[b"agent"].decode(),
        agent_digest=values[b"agent_digest"].decode(),
        seed=int(values[b"seed"]),
        deterministic=values[b"deterministic"] == b"1",
        committed=int(values[b"committed"]),
        history_digest=values[b"history"],
        length=int(values[b"length"]),
        ended=values[b"ended"] == b"1",
        total_reward=float(values[b"total_reward"]) if b"total_reward" in values else None,
        created_us=int(values[b"created_us"]),
        updated_us=int(values[b"updated_us"]),
        ttl_ms=ttl_ms,
        archived=b"archived" in values,
    )
