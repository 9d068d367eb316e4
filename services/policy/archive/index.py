"""`ArchiveIndex`: what archived episodes saw, kept beside the archive in a form that can be searched.

Contract: the archive is the truth. What this process archives and deletes is in the index some seconds later. `refresh`, at
the start and now and then, compares all paths of the archive with the index, and so learns what others have written, what is
no longer there, and everything where there is no index yet; of an archive in a bucket it takes over the files of the index
that lie there, and writes what they lack. Whoever finds an episode here reads it in the archive, so that nothing that was
deleted is told. Where there is no archive the index is empty.

Failure policy: a file of the archive that is no whole episode is counted (`shelm_search_unreadable_total`), logged and left
out. While the archive or the index cannot be reached, the index stays as it is, and the log says why.
"""

import asyncio
import logging
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from prometheus_client import Counter, Gauge
from shelm.v1 import errors_pb2

from services.policy.archive import queries
from services.policy.archive.archive import Archive, path_of
from services.policy.archive.files import small
from services.policy.archive.segments import Segments
from services.policy.archive.shared import Shared
from services.policy.places import reached
from services.protocol.archive import Indexed
from services.protocol.queries import Comparison, Place, Search
from services.protocol.values import CommittedStep, EpisodeState
from services.runtime.logs import Sparse
from services.store.periodic import Periodic

log = logging.getLogger(__name__)
Result = TypeVar("Result")
FLUSH, EVERY, SHARE = 2.0, 60.0, 50.0  # seconds; minimum ratio of the time between two changes to the time of one
MOST = 2000  # episodes that wait to be written; of more the next refresh learns
BATCH, READERS = 2000, 8  # episodes of one file that refresh writes; files read at once
REST = 100  # episodes, after each of which a refresh leaves the processor to others for as long as they have taken
EPISODES = Gauge("shelm_search_episodes", "Archived episodes that can be searched")
PLACE, UNAVAILABLE = "the index of the archive", errors_pb2.ERROR_REASON_ARCHIVE_UNAVAILABLE
UNREADABLE = Counter("shelm_search_unreadable", "Files of the archive that are no whole episodes")


class ArchiveIndex(Periodic):
    """The index of one archive. folder: for its files; empty: one that is deleted with the process.

    shared: the place of the archive, if the files are kept there for other replicas as well.
    """

    def __init__(self, archive: Archive | None, folder: str = "", *, shared: str = "") -> None:
        self._archive = archive
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="shelm-search-")
        self._segments = Segments(Path(self._temporary.name if self._temporary else folder))
        self._shared = Shared(shared, self._segments) if shared else None
        self._added: dict[str, Indexed] = {}
        self._removed: set[str] = set()
        self._unreadable: set[str] = set()
        self._changing, self._sparse = threading.Lock(), Sparse(log)
        self._closing = threading.Event()
        # One search at a time, so that they take no more from Acts than the engine's threads, nor memory of one another.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="search")

    def add(self, state: EpisodeState, first: int, steps: Sequence[CommittedStep]) -> None:
        """An episode has been archived."""
        if len(self._added) < MOST:
            path = path_of(state)
            self._added[path] = Indexed.of(path, state, first, steps)

    def remove(self, episode_id: str) -> None:
        """All archived episodes of a name have been deleted."""
        self._removed.add(episode_id)

    async def known(self, states: Sequence[EpisodeState]) -> set[str]:
        """The names of those of some episodes that the index has."""
        if not self._archive or not states:
            return set()
        return await self._asked(lambda: queries.known(self._segments, {path_of(one): one.episode_id for one in states}))

    async def search(
        self, search: Search, place: Place | None, size: int, *, newest: bool, tenant: str | None
    ) -> list[Place]:
        """At most `size` archived episodes that are meant, after a place."""
        return await self._asked(lambda: queries.search(self._segments, search, place, size, newest=newest, tenant=tenant))

    async def compare(self, search: Search, others: Sequence[Indexed], limit: int, *, tenant: str | None) -> Comparison:
        """Compares the archived episodes that are meant, and some others."""
        return await self._asked(lambda: queries.compare(self._segments, search, others, limit, tenant=tenant))

    async def _asked(self, work: Callable[[], Result]) -> Result:
        return await reached(work, PLACE, UNAVAILABLE, doing="a search of the archive", threads=self._thread)

    def flush(self) -> None:
        """Writes what was archived and deleted since. Blocking."""
        with self._changing, self._segments.alone():
            added, self._added = self._added, {}
            removed, self._removed = self._removed, set()
            if removed:
                self._segments.drop_named(sorted(removed))
            if rows := [row for row in added.values() if row.name not in removed]:
                self._segments.drop([row.path for row in rows], self._segments.paths())  # archived before, with less
                self._segments.add(rows)
                self._merge()

    def refresh(self, progress: Callable[[int], object] = lambda count: None) -> None:
        """Makes the index that of the archive as it is. Blocking. progress: told how many episodes were read since."""
        if not self._archive:
            return
        with self._changing, self._segments.alone():
            if self._shared:  # first, so that all that it has was in the archive before that is looked through
                self._shared.take()
            held, there = self._segments.paths(), set(self._archive.paths())
            self._segments.drop([path for path in held if path not in there], held)
            missing = list(there - held.keys() - self._unreadable)
            random.shuffle(missing)  # replicas begin with different ones, and take over what others have read meanwhile
            while missing and not self._closing.is_set():
                some, missing = missing[:BATCH], missing[BATCH:]
                self._segments.add(self._read(some))
                progress(len(some))
                if self._shared and not self._closing.is_set():
                    self._shared.publish()
                    held = self._segments.paths()
                    missing = [path for path in missing if path not in held]
            self._merge()
            if self._shared and not self._closing.is_set():
                self._shared.publish()
                self._shared.tidy()
            EPISODES.set(len(there) - len(self._unreadable & there))

    def _merge(self) -> None:
        """Small files become one, but for those that the bucket has as they are."""
        if files := small(self._shared.pending() if self._shared else self._segments.files()):
            self._segments.join(files)

    def _read(self, paths: Sequence[str]) -> Iterator[Indexed]:
        """The episodes of some paths; those that are gone or cannot be read are left out."""
        with ThreadPoolExecutor(READERS, thread_name_prefix="index") as pool:
            for first in range(0, len(paths), REST):
                if self._closing.is_set():
                    return
                began = time.monotonic()
                yield from (row for row in pool.map(self._indexed, paths[first : first + REST]) if row)
                self._closing.wait(time.monotonic() - began)

    def _indexed(self, path: str) -> Indexed | None:
        assert self._archive
        try:
            return self._archive.indexed(path)
        except ValueError as error:
            UNREADABLE.inc()
            self._unreadable.add(path)
            log.error("%s of the archive cannot be searched: %s", path, error)
            return None

    async def _run(self) -> None:
        due = 0.0
        while self._archive:
            began = time.monotonic()
            try:
                if self._added or self._removed:
                    await asyncio.to_thread(self.flush)
                if began >= due:
                    await asyncio.to_thread(self.refresh)
                    due = time.monotonic() + max(EVERY, SHARE * (time.monotonic() - began))
            except Exception as error:  # of the archive, the file system or the engine
                self._sparse.warning("index", f"the archive's index stays as it is: {type(error).__name__}: {error}")
            await asyncio.sleep(max(FLUSH, time.monotonic() - began))

    async def close(self) -> None:
        """Writes what waits, and closes."""
        self._closing.set()
        await super().close()
        try:
            await asyncio.to_thread(self.flush)
        except Exception as error:  # the next refresh writes it
            log.warning("the archive's index lacks the last episodes for now: %s", error)
        self._thread.shutdown()
        self._segments.close()
        if self._temporary:
            self._temporary.cleanup()
