"""Metrics of memory slots and their events, exported by the service that uses them.

Failure policy: an engine that does not answer in time (a Triton that is down) is omitted from the scrape.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import astuple
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

log = logging.getLogger(__name__)
AskCounts = Callable[[], Awaitable[Any]]  # a dataclass with a value for each metric, in their order
ANSWER_SECONDS = 1.0
_AGENT = ["agent", "digest"]


class _SlotCollector(Collector):
    def __init__(self) -> None:
        self.engines: dict[tuple[str, str], AskCounts] = {}
        self.loop: asyncio.AbstractEventLoop | None = None

    def collect(self) -> Iterator[Metric]:
        """Reads the counts of the engines at each scrape, in a thread of the Prometheus exporter."""
        families: tuple[Metric, ...] = (
            GaugeMetricFamily("shelm_memory_slots", "Number of memory slots", labels=_AGENT),
            GaugeMetricFamily("shelm_memory_slots_used", "Memory slots that hold an episode", labels=_AGENT),
            CounterMetricFamily("shelm_memory_hits", "Steps computed from a cached memory state", labels=_AGENT),
            CounterMetricFamily("shelm_memory_repeats", "Repeated requests for the latest step", labels=_AGENT),
            CounterMetricFamily("shelm_memory_rebuilds", "Memory states recomputed from the history", labels=_AGENT),
            CounterMetricFamily("shelm_memory_evictions", "Memory states dropped for another episode", labels=_AGENT),
        )
        for labels, counts in self._ask().items():
            for family, value in zip(families, astuple(counts), strict=True):
                family.add_metric(labels, value)  # type: ignore[attr-defined]  # both kinds have it
        yield from families

    def _ask(self) -> dict[tuple[str, str], Any]:
        if not self.loop:
            return {}
        asking = _all(self.engines)
        try:
            return asyncio.run_coroutine_threadsafe(asking, self.loop).result()
        except Exception as error:
            asking.close()
            log.warning("no counts of the memory slots: %s", error)
            return {}


async def _all(engines: Mapping[tuple[str, str], AskCounts]) -> dict[tuple[str, str], Any]:
    async def one(labels: tuple[str, str], ask: AskCounts) -> tuple[tuple[str, str], Any]:
        return labels, await asyncio.wait_for(ask(), ANSWER_SECONDS)

    answers = await asyncio.gather(*(one(*pair) for pair in engines.items()), return_exceptions=True)
    return dict(answer for answer in answers if not isinstance(answer, BaseException))


_collector = _SlotCollector()
REGISTRY.register(_collector)


def export_slots(engines: Mapping[tuple[str, str], AskCounts]) -> None:
    """Exports the counts of engines, by the labels of their agents; must be called in the engines' event loop."""
    _collector.engines, _collector.loop = dict(engines), asyncio.get_running_loop()
