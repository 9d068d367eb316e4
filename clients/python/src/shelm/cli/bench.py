"""`shelm bench`: a load test of limited duration. Several episodes act concurrently, each as fast as the server answers.

Every frame is new random noise, so that the cache of retrieved words has no effect: this is the slowest case, and comparable
between servers. The test ends after the given time, or at the first error that retries cannot resolve. The JSON object has
episodes, seconds, acts, acts_per_second, replayed and stages; each stage has p50_ms and p99_ms.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import numpy as np

from shelm.cli.stages import milliseconds, stage_text
from shelm.cli.terminal import line_of_json, table
from shelm.client import Client


@dataclass
class Load:
    """The results of one episode: the duration of each Act and of its stages."""

    acts: int = 0
    replayed: int = 0
    stages: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def bench(client: Client, arguments: argparse.Namespace) -> None:
    """Runs the load test and prints p50 and p99 of an Act and of its stages."""
    shape = client.agent(arguments.agent).observation_shape
    if sys.stderr.isatty():
        print(f"{arguments.episodes} episodes act for {arguments.duration} s ...", file=sys.stderr, flush=True)
    began = time.monotonic()
    loads = _run(client, arguments, shape)
    fields = _fields(loads, time.monotonic() - began)
    if arguments.json:
        line_of_json(fields)
    else:
        _print(fields)


def _run(client: Client, arguments: argparse.Namespace, shape: tuple[int, int, int]) -> list[Load]:
    stop, ends = Event(), time.monotonic() + arguments.duration

    def episode(number: int) -> Load:
        try:
            return _act(client, arguments.agent, np.random.default_rng(number), shape, ends=ends, stop=stop)
        finally:
            stop.set()  # an episode that fails stops the others; one that finishes has no effect on them

    with ThreadPoolExecutor(arguments.episodes) as pool:
        try:
            return list(pool.map(episode, range(arguments.episodes)))
        finally:
            stop.set()


def _act(
    client: Client, agent: str, noise: np.random.Generator, shape: tuple[int, int, int], *, ends: float, stop: Event
) -> Load:
    load = Load()
    with client.episode(agent=agent or None) as episode:
        while time.monotonic() < ends and not stop.is_set():
            frame = noise.integers(0, 256, shape, np.uint8)
            began = time.monotonic()
            act = episode.act(frame)
            seen = time.monotonic() - began
            load.acts, load.replayed = load.acts + 1, load.replayed + act.replayed
            stages = milliseconds(act.timing) if act.timing else {}
            for name, value in {"seen_ms": seen * 1000, **stages}.items():
                load.stages[name].append(value)
    return load


def _fields(loads: Sequence[Load], seconds: float) -> dict[str, Any]:
    acts = sum(load.acts for load in loads)
    return {
        "episodes": len(loads),
        "seconds": round(seconds, 3),
        "acts": acts,
        "acts_per_second": round(acts / seconds, 2),
        "replayed": sum(load.replayed for load in loads),
        "stages": {name.removesuffix("_ms"): _percentiles(loads, name) for name in loads[0].stages},
    }


def _percentiles(loads: Sequence[Load], name: str) -> Mapping[str, float]:
    p50, p99 = np.percentile([value for load in loads for value in load.stages[name]], [50, 99])
    return {"p50_ms": round(float(p50), 3), "p99_ms": round(float(p99), 3)}


def _print(fields: Mapping[str, Any]) -> None:
    acts, seconds, rate = fields["acts"], fields["seconds"], fields["acts_per_second"]
    print(f"{fields['episodes']} episodes, {acts} acts in {seconds:.1f} s: {rate:.1f} acts/s, {fields['replayed']} replayed")
    rows = [
        [stage_text(name), f"{stage['p50_ms']:.1f} ms", f"{stage['p99_ms']:.1f} ms"]
        for name, stage in fields["stages"].items()
    ]
    table(("", "p50", "p99"), rows)
