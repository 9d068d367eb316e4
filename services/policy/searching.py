"""`Searcher`: finds and compares episodes by what they saw, wherever they are.

Contract: for each page episodes that the index of the archive does not have are read one by one, the newest first, a bounded
number of them; and the index is asked for as many more as have room there. Each episode that is told was read where it is,
and agrees with what was asked for. One that is archived between two pages may be found twice, and none that lasts is missed.

Failure policy: STORE_UNAVAILABLE and ARCHIVE_UNAVAILABLE. An episode whose stored form is damaged is told apart.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from services.policy.archive.archive import path_of
from services.policy.archive.index import ArchiveIndex
from services.policy.archive.reader import Episodes
from services.protocol.archive import Indexed
from services.protocol.queries import Comparison, EpisodeFilter, Found, Place, Search
from services.protocol.search import Cursor, read_token, write_token
from services.protocol.values import EpisodeState
from services.runtime.batching import outcome_of
from services.runtime.errors import ServiceError
from services.store.episodes import EpisodeStore
from services.store.records import Numbered

READ = 50  # histories at once
LOOK, ROUNDS = 250, 4  # episodes at once, and how often for one page, most of which the index may have
HISTORIES, STEPS = 500, 20_000  # read for one page, after which no more are
COMPARED, LOOKED = 1000, 10_000  # episodes in a comparison, of those not archived; those looked through for them
PAGE = 1000  # episodes that a comparison looks through at once
Page = tuple[str, list[Found], list[ServiceError]]  # the token of the next, what was found, what is damaged


@dataclass(frozen=True, slots=True)
class Read:
    """An episode that is meant, with its steps. seen: where it saw the words."""

    state: EpisodeState
    steps: Sequence[Numbered]
    seen: Sequence[int]


class Searcher:
    """Searches one store and one archive."""

    def __init__(self, store: EpisodeStore, episodes: Episodes, index: ArchiveIndex) -> None:
        self._store, self._episodes, self._index = store, episodes, index

    async def search(self, search: Search, token: str, size: int, *, tenant: str | None) -> Page:
        """A page of the episodes that are meant. token: of an earlier page, or empty. tenant: as `EpisodeStore.page`."""
        live, archived = read_token(token)
        found, damaged = list[Found](), list[ServiceError]()
        if not live.done:
            place, found, damaged = await self._live(search, live.place, archived, size, tenant)
            live = Cursor(place, done=place is None)
        if not self._episodes.kept:
            archived = Cursor(done=True)
        elif not archived.done and len(found) < size:
            place, more = await self._archived(search, archived.place, size - len(found), newest=True, tenant=tenant)
            found, archived = [*found, *more], Cursor(place, done=place is None)
        return write_token(live, archived), found, damaged

    async def archived(
        self, wanted: EpisodeFilter, place: Place | None, size: int, *, newest: bool, tenant: str | None
    ) -> tuple[Place | None, list[EpisodeState]]:
        """Archived episodes that are meant, in order, after a place, and the place where to go on."""
        place, found = await self._archived(Search(filter=wanted), place, size, newest=newest, tenant=tenant)
        return place, [one.state for one in found]

    async def compare(self, search: Search, limit: int, *, tenant: str | None) -> Comparison:
        """Compares episodes that succeeded with those that failed; at most `limit` words, and as many transitions."""
        wanted = replace(search.filter, reward=search.filter.reward or (-inf, inf))  # others have no outcome
        others, partial, looked = list[Indexed](), False, 0
        more, place = wanted.ended is not False, None
        while more:
            place, states = await self._store.index.page(wanted, place, PAGE, newest=True, tenant=tenant)
            unknown, looked = await self._unknown(states, Cursor()), looked + len(states)
            some = unknown[: COMPARED - len(others)]
            read, damaged = await self._read_all(search, some, steps=True)
            others += [_indexed(one) for one in read]
            more = place is not None and len(some) == len(unknown) and looked < LOOKED
            partial = partial or len(some) < len(unknown) or bool(damaged)
            partial = partial or any(isinstance(one, ServiceError) for one in states)
        found = await self._index.compare(replace(search, filter=wanted), others, limit, tenant=tenant)
        return replace(found, partial=partial or place is not None)

    async def _live(
        self, search: Search, place: Place | None, archived: Cursor, size: int, tenant: str | None
    ) -> tuple[Place | None, list[Found], list[ServiceError]]:
        """Episodes that are meant and that the index will not find, after a place, and the place where to go on.

        archived: how far the search has come in the archive.
        """
        found, damaged, histories, steps = list[Found](), list[ServiceError](), 0, 0
        for _ in range(ROUNDS):
            count = LOOK if search.of_words else size - len(found)
            place, states = await self._store.index.page(search.filter, place, count, newest=True, tenant=tenant)
            unknown = await self._unknown(states, archived)
            for first in range(0, len(unknown), READ):
                some = unknown[first : first + READ]
                read, unreadable = await self._read_all(search, some)
                damaged += unreadable
                for one in read:
                    found.append(Found(one.state, one.seen))
                    if len(found) == size:
                        return _place(one.state), found, damaged
                histories, steps = histories + len(some), steps + sum(one.committed + 1 for one in some)
                if search.of_words and (histories >= HISTORIES or steps >= STEPS):
                    return _place(some[-1]), found, damaged
            damaged += [one for one in states if isinstance(one, ServiceError)]
            if place is None:
                break
        return place, found, damaged

    async def _unknown(self, states: Sequence[EpisodeState | ServiceError], archived: Cursor) -> list[EpisodeState]:
        """Those that the index of the archive does not have, or may have got after the search was there."""
        whole = [one for one in states if isinstance(one, EpisodeState)]
        known = await self._index.known([one for one in whole if one.ended and not archived.passed(_place(one))])
        return [one for one in whole if one.episode_id not in known]

    async def _read_all(
        self, search: Search, states: Sequence[EpisodeState], *, steps: bool = False
    ) -> tuple[list[Read], list[ServiceError]]:
        """Those that saw what is asked for, and the errors of those that are damaged. steps: whether they are needed."""
        if not search.of_words and not steps:
            return [Read(one, (), ()) for one in states], []
        read, damaged = list[Read](), list[ServiceError]()
        for first in range(0, len(states), READ):
            some = await asyncio.gather(*(outcome_of(self._read(search, one)) for one in states[first : first + READ]))
            for one in some:
                if isinstance(one, ServiceError) and one.reason == "EPISODE_DAMAGED":
                    damaged.append(one)
                elif isinstance(one, Exception):
                    raise one
                elif one:
                    read.append(one)
        return read, damaged

    async def _read(self, search: Search, state: EpisodeState) -> Read | None:
        begun, steps = await self._store.whole(state.episode_id)
        if begun is None or begun.incarnation != state.incarnation or not search.filter.fits(begun):
            return None
        seen = search.seen([(number, [word.text for word in step.words]) for number, step in steps])
        return None if seen is None else Read(begun, steps, seen)

    async def _archived(
        self, search: Search, place: Place | None, size: int, *, newest: bool, tenant: str | None
    ) -> tuple[Place | None, list[Found]]:
        """Those that the index finds after a place, as the archive has them, and the place where to go on."""
        found = list[Found]()
        rows = await self._index.search(search, place, size, newest=newest, tenant=tenant)
        for first in range(0, len(rows), READ):
            some = rows[first : first + READ]
            read = await asyncio.gather(*(self._episodes.archived(name) for _, name in some))
            for (created, _), episode in zip(some, read, strict=True):
                # Deleted meanwhile, or another one took its name: then that one is meant by it.
                if episode is None or episode[0].created_us != created or not search.filter.fits(episode[0]):
                    continue
                state, begins, steps = episode
                seen = search.seen([(begins + i, [word.text for word in one.words]) for i, one in enumerate(steps)])
                if seen is not None:
                    found.append(Found(state, seen))
        return rows[-1] if len(rows) == size else None, found


def _place(state: EpisodeState) -> Place:
    return state.created_us, state.episode_id


def _indexed(one: Read) -> Indexed:
    first = one.steps[0][0] if one.steps else 0
    return Indexed.of(path_of(one.state), one.state, first, [step for _, step in one.steps])
