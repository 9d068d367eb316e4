"""`Archiver`: copies episodes that have ended from Redis to the archive, in the background.

Contract: an episode that has ended stays in Redis as long as a running one until its copy is written whole, then for
SHELM_ENDED_TTL. `put` never waits; what is lost with a process, or while the archive is away, is found again by a sweep over
Redis. Every replica archives, and may archive an episode twice, which writes the same file. An episode that is deleted
meanwhile is not brought back: who deletes it holds `alone` meanwhile, so that no copy of this process is on its way then,
and what another replica writes after that is removed by it.

Failure policy: an episode that cannot be archived is counted (`shelm_episodes_archived_total{outcome="failed"|"damaged"}`)
and logged, at most one line in ten seconds; the sweep tries it again.
"""

import asyncio
import contextlib
import logging
import time
from weakref import WeakValueDictionary

from prometheus_client import Counter, Gauge

from services.policy.archive.archive import Archive
from services.policy.archive.index import ArchiveIndex
from services.protocol.values import EpisodeState
from services.runtime.errors import ServiceError
from services.runtime.logs import Sparse
from services.store.episodes import EpisodeStore

log = logging.getLogger(__name__)
WORKERS = 4  # S3 takes tens of milliseconds a file
MOST = 10_000  # names that wait; a sweep finds the others again
SWEEP_EVERY, SHARE = 60.0, 100.0  # seconds; minimum ratio of the time between two sweeps to the time of one
FRESH = 5.0  # seconds after its end in which a sweep leaves an episode to the replica that has ended it
FLUSH_SECONDS = 5.0
OUTCOMES = Counter("shelm_episodes_archived", "Episodes that have ended, by what became of their copy", ["outcome"])
WAITING = Gauge("shelm_archive_waiting", "Episodes that have ended and wait to be archived by this process")


class Archiver:
    """Archives the episodes of one store. index: is told of them, if there is one. sweep_every: seconds."""

    def __init__(
        self, store: EpisodeStore, archive: Archive, index: ArchiveIndex | None = None, *, sweep_every: float = SWEEP_EVERY
    ) -> None:
        self._store, self._archive, self._index, self._sweep_every = store, archive, index, sweep_every
        self._names: asyncio.Queue[str] = asyncio.Queue(MOST)
        self._waiting: set[str] = set()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: list[asyncio.Task[None]] = []
        self._sparse = Sparse(log)

    def start(self) -> None:
        """Starts its tasks."""
        self._tasks = [asyncio.create_task(work()) for work in [self._work] * WORKERS + [self._sweep]]

    def put(self, episode_id: str) -> None:
        """Hands over an episode that has ended."""
        if episode_id not in self._waiting:
            with contextlib.suppress(asyncio.QueueFull):
                self._names.put_nowait(episode_id)
                self._waiting.add(episode_id)
                WAITING.set(len(self._waiting))

    def alone(self, episode_id: str) -> asyncio.Lock:
        """Held while an episode is copied: whoever else holds it can be sure that no copy of it is being written."""
        return self._locks.setdefault(episode_id, asyncio.Lock())

    async def close(self, seconds: float = FLUSH_SECONDS) -> None:
        """Archives what waits, but for no longer than `seconds`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._names.join(), seconds)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            name = await self._names.get()
            self._waiting.discard(name)  # what changes from now on needs another copy
            WAITING.set(len(self._waiting))
            try:
                async with self.alone(name):
                    await self._copy(name)
            except ServiceError as error:
                self._failed("damaged" if error.reason == "EPISODE_DAMAGED" else "failed", name, error)
            except Exception as error:  # S3's client raises many kinds; the next episode gets its chance
                self._failed("failed", name, error)
            finally:
                self._names.task_done()

    async def _copy(self, episode_id: str) -> None:
        state, found = await self._store.whole(episode_id)
        if state is None or not state.ended:
            return
        steps = [step for _, step in found]
        first = state.committed + 1 - len(steps)
        await asyncio.to_thread(self._archive.write, state, first, steps)
        OUTCOMES.labels("written").inc()
        if not await self._store.archived(state) and await self._store.lately_deleted(episode_id):
            await asyncio.to_thread(self._archive.remove, state)
        elif self._index:
            self._index.add(state, first, steps)

    async def _sweep(self) -> None:
        while True:
            started = time.monotonic()
            try:
                await self._look()
            except Exception as error:  # Redis is away; the next sweep may find it
                log.warning("episodes that wait for the archive were not looked for: %s", error)
            await asyncio.sleep(max(self._sweep_every, SHARE * (time.monotonic() - started)))

    async def _look(self) -> None:
        cursor, first = 0, True
        while first or cursor:
            cursor, states = await self._store.page(cursor, 1000)
            first = False
            before = time.time_ns() // 1000 - int(FRESH * 1e6)
            for state in states:
                if isinstance(state, EpisodeState) and state.ended and not state.archived and state.updated_us < before:
                    self.put(state.episode_id)

    def _failed(self, outcome: str, name: str, error: Exception) -> None:
        OUTCOMES.labels(outcome).inc()
        self._sparse.warning("archive", f"episode {name!r} is not archived: {type(error).__name__}: {error}")
