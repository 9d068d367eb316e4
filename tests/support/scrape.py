"""Metrics as Prometheus reads them: over HTTP, with the client library's own parser."""

import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from deploy.local.stack import free_port

# Of a family without samples: what its samples are called.
_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


@dataclass(frozen=True)
class Scrape:
    """What one service said at one moment."""

    samples: tuple[Sample, ...]
    names: frozenset[str]  # also of what has not happened yet

    def value(self, name: str, **labels: str) -> float:
        """The sum of all samples of this name with these labels; 0 if there is none."""
        return sum(one.value for one in self.samples if one.name == name and labels.items() <= one.labels.items())

    def labels(self, name: str) -> list[dict[str, str]]:
        """The labels of all samples of this name."""
        return [one.labels for one in self.samples if one.name == name]


def scrape(address: str) -> Scrape:
    """Asks one service."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as reply:
        families = list(text_string_to_metric_families(reply.read().decode()))
    samples = tuple(sample for family in families for sample in family.samples)
    names = {family.name + suffix for family in families for suffix in _SUFFIXES.get(family.type, ("",))}
    return Scrape(samples, frozenset({*names, *(sample.name for sample in samples)}))


def metrics_setting() -> str:
    """SHELM_METRICS_LISTEN for three services: a port of which the two after it are free, too."""
    return f"127.0.0.1:{next(_three_ports())}"


def _three_ports() -> Iterator[int]:
    while True:
        port = free_port()
        if all(_is_free(port + i) for i in (1, 2)):
            yield port


def _is_free(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
