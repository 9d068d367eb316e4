"""`Overview`: how the services are doing, from their metrics, read once for all viewers.

Contract: the metrics at `addresses` are read when somebody asks, at most every `EVERY` seconds, so nothing is read while
nobody looks. Rates and latencies are of the last `WINDOW` seconds, or of less if it has not been asked for so long; those of
the first answer are since the services started, without a rate. They are of all tenants.

Failure policy: an address that does not answer is named with the reason; what the others tell is answered.
"""

import asyncio
import time
import urllib.request
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from services.inspector.convert import Json
from services.inspector.exposition import Labels, Samples, quantile, read_samples, since

EVERY, WINDOW, WITHIN = 5.0, 60.0, 3.0  # seconds
MOST_BYTES = 2**23
ACTS, STAGES = "shelm_act_seconds", "shelm_stage_seconds"
COUNTERS = (f"{ACTS}_bucket", f"{ACTS}_count", f"{STAGES}_sum", f"{STAGES}_count")
GAUGES = ("shelm_memory_slots", "shelm_memory_slots_used", "shelm_store_used_bytes", "shelm_store_limit_bytes")


class _Reading(NamedTuple):
    at: float
    samples: dict[str, Samples]  # by address


class Overview:
    """What the metrics tell. addresses: HOST:PORT each."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses
        self._readings = deque[_Reading]()
        self._problems: dict[str, str] = {}
        self._lock = asyncio.Lock()
        self._answer: Json = {}

    async def answer(self) -> Json:
        """Returns sources, window, agents and store, with null for what is not known."""
        async with self._lock:
            if not self._readings or time.monotonic() - self._readings[-1].at >= EVERY:
                await self._read()
                self._answer = self._told()
        return self._answer

    async def _read(self) -> None:
        texts = await asyncio.gather(*(asyncio.to_thread(_fetch, one) for one in self._addresses), return_exceptions=True)
        now = _Reading(time.monotonic(), {})
        self._problems = {}
        for address, text in zip(self._addresses, texts, strict=True):
            if isinstance(text, str):
                now.samples[address] = read_samples(text, (*COUNTERS, *GAUGES))
            else:
                self._problems[address] = f"{type(text).__name__}: {text}"[:200]
        self._readings.append(now)
        while now.at - self._readings[0].at > WINDOW:
            self._readings.popleft()

    def _told(self) -> Json:
        first, last = self._readings[0], self._readings[-1]
        window = last.at - first.at
        before = first.samples if window else {}
        grown = [since(samples, before.get(address, {})) for address, samples in last.samples.items()]
        summed, gauges = _summed(grown, COUNTERS), _summed(last.samples.values(), GAUGES)
        return {
            "sources": [{"address": one, "problem": self._problems.get(one)} for one in self._addresses],
            "window": window or None,
            "agents": _agents(summed, gauges, window),
            "store": {name: gauges.get((f"shelm_store_{name}_bytes", ())) for name in ("used", "limit")},
        }


def _fetch(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=WITHIN) as reply:
        return str(reply.read(MOST_BYTES), errors="replace")


def _summed(all_: Iterable[Samples], names: Sequence[str]) -> Samples:
    summed: defaultdict[tuple[str, Labels], float] = defaultdict(float)
    for samples in all_:
        for key, value in samples.items():
            if key[0] in names:
                summed[key] += value
    return dict(summed)


def _agents(counters: Samples, gauges: Samples, window: float) -> list[Json]:
    found = {(labels["agent"], labels["digest"]) for _, labels in _labelled((*counters, *gauges)) if "digest" in labels}
    return [_agent(agent, digest, counters, gauges, window) for agent, digest in sorted(found)]


def _agent(agent: str, digest: str, counters: Samples, gauges: Samples, window: float) -> Json:
    def own(samples: Samples, name: str, **wanted: str) -> list[tuple[dict[str, str], float]]:
        wanted = {"agent": agent, "digest": digest, **wanted}
        keys = [(key, labels) for key, labels in _labelled(samples) if key[0] == name and wanted.items() <= labels.items()]
        return [(labels, samples[key]) for key, labels in keys]

    acts = sum(value for _, value in own(counters, f"{ACTS}_count", outcome="committed"))
    buckets = {float(labels["le"]): value for labels, value in own(counters, f"{ACTS}_bucket", outcome="committed")}
    times = {labels["stage"]: value for labels, value in own(counters, f"{STAGES}_sum")}
    slots = {name: sum(value for _, value in own(gauges, name)) for name in GAUGES[:2]}
    return {
        "agent": agent,
        "digest": digest,
        "acts": acts,
        "acts_per_second": acts / window if window else None,
        "p50": quantile(0.5, buckets),
        "p99": quantile(0.99, buckets),
        "stages": {stage: value / acts for stage, value in times.items()} if acts else {},
        "slots": slots[GAUGES[0]],
        "slots_used": slots[GAUGES[1]],
    }


def _labelled(keys: Iterable[tuple[str, Labels]]) -> list[tuple[tuple[str, Labels], dict[str, str]]]:
    return [(key, dict(key[1])) for key in keys]
