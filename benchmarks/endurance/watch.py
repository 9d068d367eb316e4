"""What the processes of a deployment take while something else goes on: sampled in a thread, and judged afterwards.

Contract: a series has one list per quantity, all as long as `second`. `pss_mb` counts a page that n processes share as one
n-th, so it is what a process adds to the machine. A process that ends meanwhile is named in `ended`, and its series stops.

Failure policy: a Redis that does not answer raises at the end of the block.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import redis

from services.store.keys import deletion_key

MB = 1e6
PROCESS, STORE = ("pss_mb", "rss_mb", "descriptors", "threads"), ("keys", "deletions", "used_mb", "clients")
ALLOWED = 0.02  # growth over the second half as a share, of what may be called flat
LEAST = 60  # samples; a shorter run is still warming up, and is not judged
# What one thing more or less does not make a leak. Not judged: pss_mb, which changes with what other programs on the machine
# share, and deletions, which Redis remembers for an hour, longer than any run here.
SMALLEST = {"rss_mb": 4.0, "used_mb": 2.0, "descriptors": 4.0, "threads": 2.0, "keys": 20.0, "clients": 4.0}
Series = dict[str, Any]


class Watch:
    """Samples processes, by name, and a Redis, every `every` seconds between entry and exit."""

    def __init__(self, pids: Mapping[str, int], redis_url: str, *, every: float = 1.0) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._redis, self._every = redis.Redis.from_url(redis_url, socket_timeout=30), every
        self.series: Series = {"second": [], "redis": {name: [] for name in (*PROCESS, *STORE)}}
        self.series |= {name: {one: [] for one in PROCESS} for name in pids if name != "redis"}
        self.ended: list[str] = []
        self._over, self._failure = threading.Event(), list[BaseException]()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watch":
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        self._redis.close()
        if self._failure and kind is None:
            raise self._failure[0]

    def _run(self) -> None:
        due = time.monotonic()
        try:
            while not self._over.is_set():
                self._sample()
                due += self._every
                self._over.wait(max(0.0, due - time.monotonic()))
        except BaseException as error:
            self._failure.append(error)

    def _sample(self) -> None:
        now = round(time.monotonic() - self._began, 1)
        found = {name: self._process(name, process) for name, process in self._processes.items() if name not in self.ended}
        # Its type says that it may be awaited, which is for the asyncio client.
        info: Any = self._redis.info()
        deletions = sum(1 for _ in self._redis.scan_iter(deletion_key("*"), count=1000))
        keys: Any = self._redis.dbsize()
        store = keys - deletions, deletions, round(info["used_memory"] / MB, 2), info["connected_clients"]
        if None in found.values():
            return  # the others would be one value ahead
        self.series["second"].append(now)
        for name, values in found.items():
            for quantity, value in zip(PROCESS, values or (), strict=True):
                self.series[name][quantity].append(value)
        for quantity, value in zip(STORE, store, strict=True):
            self.series["redis"][quantity].append(value)

    def _process(self, name: str, process: Any) -> tuple[float, float, int, int] | None:
        try:
            with process.oneshot():
                memory = process.memory_full_info()
                pss, rss = round(memory.pss / MB, 2), round(memory.rss / MB, 2)
                return pss, rss, process.num_fds(), process.num_threads()
        except psutil.Error:
            self.ended.append(name)
            return None


def trend(seconds: Sequence[float], values: Sequence[float]) -> dict[str, float]:
    """Returns level and growth over the second half: a straight line through it, its middle, its slope an hour, what it
    gains over the half, and that as a share of the middle.
    """
    half = len(values) // 2
    times, found = np.asarray(seconds[half:], float), np.asarray(values[half:], float)
    if len(times) < 2:
        return {"level": float(found[-1]) if len(found) else 0.0, "per_hour": 0.0, "growth": 0.0, "share": 0.0}
    slope = float(np.polyfit(times - times[0], found, 1)[0])
    level, growth = float(np.median(found)), slope * float(times[-1] - times[0])
    share = growth / level if level else 0.0
    return {
        "level": round(level, 2),
        "per_hour": round(3600 * slope, 2),
        "growth": round(growth, 2),
        "share": round(share, 4),
    }


def trends(series: Series) -> dict[str, dict[str, dict[str, float]]]:
    """Returns the trend of every quantity of every process."""
    processes = {name: of for name, of in series.items() if name != "second"}
    return {
        name: {quantity: trend(series["second"][: len(values)], values) for quantity, values in of.items()}
        for name, of in processes.items()
    }


def growing(series: Series) -> list[str]:
    """Returns what is not flat: a growth over the second half of more than ALLOWED, and of more than SMALLEST."""
    if len(series["second"]) < LEAST:
        return []
    return [
        f"{name} {quantity} grew by {of['growth']:.1f} ({100 * of['share']:.1f} %)"
        for name, quantities in trends(series).items()
        for quantity, of in quantities.items()
        if quantity in SMALLEST and of["growth"] > max(SMALLEST[quantity], ALLOWED * of["level"])
    ]
