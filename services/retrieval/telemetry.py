"""Retrieval's own metrics: hits, misses and hit rate of the word cache."""

from collections.abc import Iterator
from typing import Protocol

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class Cached(Protocol):
    """What counts its hits."""

    hits: int
    misses: int


class _CacheCollector(Collector):
    def __init__(self) -> None:
        self.caches: dict[str, Cached] = {}

    def collect(self) -> Iterator[Metric]:
        """Reads the counts when Prometheus asks."""
        hits = CounterMetricFamily("shelm_retrieval_cache_hits", "Frames whose words were cached", labels=["agent"])
        misses = CounterMetricFamily("shelm_retrieval_cache_misses", "Frames whose words were computed", labels=["agent"])
        rate = GaugeMetricFamily("shelm_retrieval_cache_hit_ratio", "Hits of all frames since the start", labels=["agent"])
        for agent, cache in self.caches.items():
            hits.add_metric([agent], cache.hits)
            misses.add_metric([agent], cache.misses)
            rate.add_metric([agent], cache.hits / max(1, cache.hits + cache.misses))
        yield from (hits, misses, rate)


_collector = _CacheCollector()
REGISTRY.register(_collector)


def export_cache(agent: str, cache: Cached) -> None:
    """Exports the counts of an agent's cache."""
    _collector.caches[agent] = cache
