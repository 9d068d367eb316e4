"""`Indexer`: looks through all episodes and the whole index now and then, and makes the second tell what the first are.

Contract: after a sweep the index has every episode that there was before it began, also those of an earlier version, which
entered none, and those whose process died before it could; and none that were gone by then. It takes at most one percent of
the time. Every replica of policy does it; what one has put right the others find right.

Failure policy: what fails is logged, and the next sweep tries again.
"""

import asyncio
import logging
import time

from services.protocol.values import EpisodeState
from services.runtime.errors import ServiceError
from services.store.episodes import EpisodeStore
from services.store.periodic import Periodic

log = logging.getLogger(__name__)
EVERY, SHARE = 60.0, 100.0  # seconds; minimum ratio of the time between two sweeps to the time of one
PAGE = 1000


class Indexer(Periodic):
    """Sweeps one store."""

    def __init__(self, store: EpisodeStore) -> None:
        self._store = store

    async def sweep(self) -> None:
        """Looks through everything once."""
        cursor, first = 0, True
        while first or cursor:
            first = False
            cursor, found = await self._store.page(cursor, PAGE)
            await self._store.index.put(state for state in found if isinstance(state, EpisodeState))
        await self._store.index.clean()

    async def _run(self) -> None:
        while True:
            started = time.monotonic()
            try:
                await self.sweep()
            except ServiceError as error:
                log.warning("the index of the episodes was not looked through: %s", error)
            await asyncio.sleep(max(EVERY, SHARE * (time.monotonic() - started)))
