"""`Pressure`: how full Redis is, so that no episode begins that might have no room to end.

Contract: `full` is true from the mark on, a share of Redis's own limit (maxmemory). Of a cluster the fullest primary counts.
A Redis without a limit is never full. Failure policy: while Redis cannot be asked, or does not tell, the last answer stands.
"""

import asyncio
import logging
from typing import Any

from prometheus_client import Gauge

from services.store.periodic import Periodic
from services.store.redis import memory_reports

log = logging.getLogger(__name__)
EVERY = 1.0  # seconds
USED = Gauge("shelm_store_used_bytes", "Memory that Redis uses; of a cluster, its fullest primary")
LIMIT = Gauge("shelm_store_limit_bytes", "Memory that Redis may use (maxmemory); 0: no limit")
FULL = Gauge("shelm_store_full", "1 while no episode may begin, because Redis is nearly full")


class Pressure(Periodic):
    """Measures one store. mark: share of maxmemory, 0 .. 1."""

    def __init__(self, client: Any, *, mark: float) -> None:
        self._client, self._mark = client, mark
        self.full, self.share = False, 0.0  # of the limit that is used

    async def measure(self) -> None:
        """Asks Redis once."""
        reports = [report for report in (await memory_reports(self._client)).values() if "used_memory" in report]
        nodes = [(int(report["used_memory"]), int(report.get("maxmemory", 0))) for report in reports]
        if not nodes:  # away, which health says, or without the right to ask
            return
        self.share, used, limit = max((used / limit if limit else 0.0, used, limit) for used, limit in nodes)
        full = bool(limit) and used >= self._mark * limit
        if full != self.full:
            log.warning("Redis uses %d of %d bytes: episodes may %sbegin", used, limit, "not " if full else "")
        self.full = full
        USED.set(used)
        LIMIT.set(limit)
        FULL.set(full)

    async def _run(self) -> None:
        while True:
            await self.measure()
            await asyncio.sleep(EVERY)
