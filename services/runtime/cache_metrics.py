"""Metrics of the caches of words: hits and misses, of all caches of an agent in this process.

Contract: policy counts the frames whose words it keeps itself, and retrieval those that policy has to ask for, so the sum
over all services counts each frame once. If a cache is in Triton, it is not counted.
"""

from collections import defaultdict
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
        self.caches: defaultdict[tuple[str, str], list[Cached]] = defaultdict(list)

    def collect(self) -> Iterator[Metric]:
        """Reads the counts at each scrape."""
        hits = CounterMetricFamily("shelm_retrieval_cache_hits", "Frames whose words were cached", labels=_AGENT)
        misses = CounterMetricFamily("shelm_retrieval_cache_misses", "Frames whose words were computed", labels=_AGENT)
        for labels, caches in self.caches.items():
            hits.add_metric(labels, sum(cache.hits for cache in caches))
            misses.add_metric(labels, sum(cache.misses for cache in caches))
        yield from (hits, misses)


_collector = _CacheCollector()
REGISTRY.register(_collector)


def export_cache(agent: tuple[str, str], cache: Cached) -> None:
    """Exports the counts of a cache of an agent. agent: labels from `agent_labels`."""
    _collector.caches[agent].append(cache)
