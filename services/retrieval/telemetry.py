"""Metrics of the retrieval service: hits and misses of the word cache. If the cache is in Triton, there are none."""

from collections.abc import Iterator
from typing import Protocol

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

_AGENT = ["agent", "digest"]


class Cached(Protocol):
    """An object that counts the hits and misses of its cache."""

    hits: int
    misses: int


class _CacheCollector(Collector):
    def __init__(self) -> None:
        self.caches: dict[tuple[str, str], Cached] = {}

    def collect(self) -> Iterator[Metric]:
        """Reads the counts at each scrape."""
        hits = CounterMetricFamily("shelm_retrieval_cache_hits", "Frames whose words were cached", labels=_AGENT)
        misses = CounterMetricFamily("shelm_retrieval_cache_misses", "Frames whose words were computed", labels=_AGENT)
        for labels, cache in self.caches.items():
            hits.add_metric(labels, cache.hits)
            misses.add_metric(labels, cache.misses)
        yield from (hits, misses)


_collector = _CacheCollector()
REGISTRY.register(_collector)


def export_cache(agent: tuple[str, str], cache: Cached) -> None:
    """Exports the counts of an agent's cache. agent: labels from `agent_labels`."""
    _collector.caches[agent] = cache
