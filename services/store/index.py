"""`EpisodeIndex`: which episodes there are, by tenant, agent, state and time of creation, so that a page need not read all.

Contract: an episode is entered right after it has begun, and moved right after it has ended, before the caller is answered:
not in the same script, because in a cluster no key of all episodes lies where an episode does. What a page returns is read
from the episodes themselves, so an entry that is out of date shows nothing wrong; one that is missing is entered by the next
sweep of `Indexer`. Entries of episodes that are gone are dropped by whoever comes upon them.

Failure policy: `put` and `drop` log that Redis cannot be reached, and go on, because an Act must not fail for this; reading
raises STORE_UNAVAILABLE.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from services.protocol.names import tenant_of
from services.protocol.queries import EpisodeFilter, Place
from services.protocol.values import EpisodeState
from services.runtime.errors import ServiceError
from services.runtime.logs import Sparse
from services.store.errors import store_errors
from services.store.keys import INDEX, index_key
from services.store.redis import run_scripts
from services.store.scripts import FORGET

log = logging.getLogger(__name__)
Known = EpisodeState | ServiceError | None
Read = Callable[[Sequence[str]], Awaitable[Sequence[Known]]]
Entry = tuple[Place, str]  # with the key that has it
MOST_READ = 1000  # episodes for one page
MOST_NAMES = 20_000  # entries for one page; those of other names than are asked for need not be read
FEWEST, MOST = 50, 1000  # entries of each list at once


@dataclass(frozen=True, slots=True)
class List:
    """The two sorted sets of a tenant and an agent."""

    tenant: str
    digest: str
    agent: str

    @classmethod
    def of(cls, state: EpisodeState) -> "List":
        """The one that an episode belongs to."""
        return cls(tenant_of(state.episode_id), state.agent_digest, state.agent)

    @classmethod
    def read(cls, member: bytes) -> "List":
        """From a member of INDEX."""
        return cls(*member.decode(errors="replace").split(":", 2))

    @property
    def member(self) -> str:
        """As a member of INDEX."""
        return f"{self.tenant}:{self.digest}:{self.agent}"

    def key(self, *, ended: bool) -> str:
        """One of the sorted sets."""
        return index_key(self.tenant, self.digest, ended=ended)


class EpisodeIndex:
    """The index in a Redis or Redis Cluster. read: what is known of each of some full names."""

    def __init__(self, client: Any, read: Read) -> None:
        self._client, self._read = client, read
        self._forget = client.register_script(FORGET)
        self._sparse = Sparse(log)

    async def put(self, states: Iterable[EpisodeState]) -> None:
        """Enters episodes, each where it belongs now."""
        if not (found := list(states)):
            return
        try:
            async with self._client.pipeline(transaction=False) as pipe:
                for member in {List.of(state).member for state in found}:
                    pipe.sadd(INDEX, member)
                for state in found:
                    of = List.of(state)
                    pipe.zadd(of.key(ended=state.ended), {state.episode_id: state.created_us})
                    if state.ended:
                        pipe.zrem(of.key(ended=False), state.episode_id)
                await pipe.execute()
        except Exception as error:  # whatever the client library raises
            self._sparse.warning("index", f"episodes are not in the index yet: {type(error).__name__}: {error}")

    async def drop(self, episode_id: str, digest: str, created_us: int) -> None:
        """Takes out a deleted episode, but no later one of its name."""
        of = List(tenant_of(episode_id), digest, "")
        await self.forget([(of.key(ended=ended), (created_us, episode_id)) for ended in (False, True)])

    async def forget(self, entries: Sequence[tuple[str, Place]]) -> None:
        """Takes out entries, each of a sorted set, whose episodes are gone."""
        runs = [([key], [name, created]) for key, (created, name) in entries]
        for answer in await run_scripts(self._client, self._forget, runs) if runs else ():
            if isinstance(answer, Exception):
                self._sparse.warning("forget", f"an episode stays in the index for now: {answer}")
                return

    async def lists(self, tenant: str | None = None) -> list[List]:
        """Those of a tenant; empty: those without tenant; None: all."""
        with store_errors():
            found = [List.read(member) for member in await self._client.smembers(INDEX)]
        return [one for one in found if tenant in (None, one.tenant)]

    async def page(
        self, wanted: EpisodeFilter, place: Place | None, size: int, *, newest: bool, tenant: str | None
    ) -> tuple[Place | None, list[EpisodeState | ServiceError]]:
        """Some episodes that are meant, in order, after a place (None: from the beginning), and the place where to go on.

        Reads about MOST_READ episodes and MOST_NAMES entries at most, so there may be none and more follow. One that is
        damaged has its error.
        """
        states = [wanted.ended] if wanted.ended is not None else [False, True]
        if wanted.needs_reward:  # told at the end
            states = [ended for ended in states if ended]
        lists = [one for one in await self.lists(tenant) if wanted.of_agent(one.agent, one.digest)]
        keys = [one.key(ended=bool(ended)) for one in lists for ended in states]
        found: list[EpisodeState | ServiceError] = []
        names = read = 0
        more = bool(keys)
        count = MOST if wanted.prefix else min(max(size, FEWEST), MOST)
        while more:
            entries, more = await self._next(keys, place, wanted.created, count, newest=newest)
            names += len(entries)
            for named, passed in _runs(entries, wanted):
                place, read = passed, read + len(named)
                known = await self._read([name for _, name in named]) if named else ()
                for (entry, key), state in zip(named.items(), known, strict=True):
                    if _gone(state, entry):
                        await self.forget([(key, entry)])
                    elif isinstance(state, ServiceError) or (state and wanted.fits(state)):
                        found.append(state)
                    if len(found) == size:
                        return entry, found
                if read >= MOST_READ:
                    return place, found
            if names >= MOST_NAMES:
                return place, found
        return None, found

    async def clean(self) -> None:
        """Takes out all entries that are not true any more."""
        for one in await self.lists():
            held = 0
            for ended in (False, True):
                key, place, more = one.key(ended=ended), None, True
                while more:
                    entries, more = await self._next([key], place, None, MOST, newest=False)
                    for first in range(0, len(entries), FEWEST):
                        some = [entry for entry, _ in entries[first : first + FEWEST]]
                        known = zip(some, await self._read([name for _, name in some]), strict=True)
                        stale = [entry for entry, state in known if _gone(state, entry) or not _in(one, ended, state)]
                        await self.forget([(key, entry) for entry in stale])
                        held, place = held + len(some) - len(stale), some[-1]
            if not held:
                with store_errors():
                    await self._client.srem(INDEX, one.member)

    async def _next(
        self, keys: Sequence[str], place: Place | None, created: tuple[int, int] | None, count: int, *, newest: bool
    ) -> tuple[list[Entry], bool]:
        """The next entries of all keys in order, each with its key, and whether more may follow."""
        low, high = created or (0, 2**62)
        if place:
            low, high = (low, min(high, place[0] + 1)) if newest else (max(low, place[0]), high)
        with store_errors():
            async with self._client.pipeline(transaction=False) as pipe:
                for key in keys:
                    if newest:
                        pipe.zrevrangebyscore(key, f"({high}", low, 0, count, withscores=True)
                    else:
                        pipe.zrangebyscore(key, low, f"({high}", 0, count, withscores=True)
                answers = await pipe.execute()
        found, reached = list[Entry](), list[Place]()
        for key, answer in zip(keys, answers, strict=True):
            entries = [(int(score), name.decode(errors="replace")) for name, score in answer]
            left = [one for one in entries if place is None or (one < place if newest else one > place)]
            found += [(one, key) for one in left]
            if len(entries) == count:
                if not left:  # as many have begun in the same microsecond
                    return await self._next(keys, place, created, 2 * count, newest=newest)
                reached.append(left[-1])
        # Of a key that was not read to its end nothing is known beyond its last entry.
        end = (max(reached) if newest else min(reached)) if reached else None
        ordered = sorted(dict(found).items(), reverse=newest)
        return [one for one in ordered if end is None or (one[0] >= end if newest else one[0] <= end)], bool(reached)


def _runs(entries: Sequence[Entry], wanted: EpisodeFilter) -> Iterator[tuple[dict[Place, str], Place]]:
    """Those whose episodes are to be read, in runs of FEWEST, as each reading waits for the sweeps' turn; how far it is."""
    named = [one for one in entries if wanted.named(one[0][1])]
    for first in range(0, max(len(named), 1), FEWEST):
        some = named[first : first + FEWEST]
        if passed := some if first + FEWEST < len(named) else entries:
            yield dict(some), passed[-1][0]


def _gone(state: Known, entry: Place) -> bool:
    """Whether an entry is of an episode that is no more; another one may have its name."""
    return state is None or (isinstance(state, EpisodeState) and state.created_us != entry[0])


def _in(of: List, ended: bool, state: Known) -> bool:
    """Whether an episode belongs there; of a damaged one it is not known."""
    return not isinstance(state, EpisodeState) or (state.ended == ended and List.of(state) == of)
