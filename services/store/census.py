"""`Census`: how many episodes each tenant has in Redis.

Contract: counted anew every `EVERY` seconds where somebody has a limit; in between what this process has let begin is added,
so a tenant can exceed its limit by what other replicas let begin meanwhile. Failure policy: while Redis cannot be asked, the
last count stands.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable

from services.protocol.names import tenant_of
from services.runtime.errors import ServiceError
from services.store.episodes import EpisodeStore
from services.store.periodic import Periodic

log = logging.getLogger(__name__)
EVERY, SHARE = 10.0, 50.0  # seconds; minimum ratio of the time between two counts to the time of one
PAGE = 1000


class Census(Periodic):
    """Counts one store. needed: whether anybody has a limit now."""

    def __init__(self, store: EpisodeStore, needed: Callable[[], bool]) -> None:
        self._store, self._needed = store, needed
        self._counts: Counter[str] = Counter()
        self._begun: Counter[str] = Counter()  # since the count under way has begun

    def of(self, tenant: str) -> int:
        """How many it has, as far as is known here."""
        return self._counts[tenant]

    def begins(self, tenant: str) -> None:
        """An episode of it begins."""
        self._counts[tenant] += 1
        self._begun[tenant] += 1

    async def count(self) -> None:
        """Looks through all names once."""
        self._begun.clear()
        found: Counter[str] = Counter()
        cursor, first = 0, True
        while first or cursor:
            first = False
            cursor, names = await self._store.names(cursor, PAGE)
            found.update(tenant_of(name) for name in names)
        self._counts = found + self._begun

    async def _run(self) -> None:
        while True:
            started = time.monotonic()
            if self._needed():
                try:
                    await self.count()
                except ServiceError as error:
                    log.warning("the episodes of tenants were not counted: %s", error)
            await asyncio.sleep(max(EVERY, SHARE * (time.monotonic() - started)))
