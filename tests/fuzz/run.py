"""Fuzzes surfaces: `python tests/fuzz/run.py [SURFACE ...] [--inputs N] [--seed S] [--rate R] [--json FILE]`.

A surface is a module fuzz_SURFACE of this folder. It has `inputs(seed, n)`, which yields inputs, and either `check(input)`,
which runs in `--streams` processes, or `Session(live)` with `check`, which sends inputs to one running server, `--rate` a
second, beside a client that acts every 50 ms. `check` says whether an input was taken, and raises what must not happen.

An input that fails is written to corpus/SURFACE-SEED-NUMBER, and the run ends with 1; so it does if a process of the server
has ended, grown too large or logged a fault, whatever was answered. The corpus is tried first.
"""

import argparse
import asyncio
import importlib
import itertools
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
SURFACES = ("images", "bundles", "policies", "rpc", "names", "tokens", "routes")
AT_ONCE = 16  # inputs under way at a server
SHOWN = 20  # failures that are printed


@dataclass
class Outcome:
    """What came of the inputs of one surface."""

    surface: str
    seed: int
    inputs: int = 0
    taken: int = 0
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0
    slowest_ms: float = 0.0
    told: dict[str, int] = field(default_factory=dict)  # how often each answer was given
    grown_mib: dict[str, float] = field(default_factory=dict)
    bystander: dict[str, float] = field(default_factory=dict)
    keep: bool = True  # inputs that failed, in the corpus

    def tried(self, number: int, data: bytes, check: Callable[[], bool]) -> None:
        """Counts one input."""
        before = time.perf_counter()
        try:
            self.taken += check()
        except Exception as error:
            self.fails(number, data, error)
        self.counts(before)

    def counts(self, before: float) -> None:
        """Counts one input that was begun at this time."""
        self.inputs += 1
        self.slowest_ms = max(self.slowest_ms, round((time.perf_counter() - before) * 1000, 1))

    def fails(self, number: int, data: bytes, error: BaseException) -> None:
        """Keeps one input that failed."""
        if self.keep:
            (CORPUS / f"{self.surface}-{self.seed}-{number}").write_bytes(data)
        self.failed.append(f"input {number}: {type(error).__name__}: {str(error)[:300]}")

    def __str__(self) -> str:
        most = ", ".join(f"{name} {count}" for name, count in Counter(self.told).most_common())
        lines = [
            f"{self.surface}: {self.inputs} inputs, {self.taken} taken, {len(self.failed)} failed, {self.seconds:.0f} s, "
            f"most {self.slowest_ms} ms",
            *([f"  told: {most}"] if most else []),
            *([f"  grown: {self.grown_mib} MiB; bystander: {self.bystander}"] if self.bystander else []),
            *(f"  {one}" for one in self.failed[:SHOWN]),
        ]
        return "\n".join(lines)


def given(surface: Any, name: str, seed: int, n: int) -> Iterator[tuple[int, bytes]]:
    """The corpus, then n new inputs, numbered."""
    kept = (path.read_bytes() for path in sorted(CORPUS.glob(f"{name}-*")))
    return enumerate(itertools.chain(kept, surface.inputs(seed, n)))


def load(name: str) -> Any:
    """The module of a surface."""
    return importlib.import_module(f"fuzz_{name}")


def run_stream(name: str, seed: int, n: int, stream: int, streams: int, *, keep: bool = True) -> Outcome:
    """Every `streams`-th input, in this process."""
    surface, outcome, begin = load(name), Outcome(name, seed, keep=keep), time.perf_counter()
    kept = under_way(name, seed, stream)
    for number, data in itertools.islice(given(surface, name, seed, n), stream, None, streams):
        kept.write_bytes(data)
        outcome.tried(number, data, lambda data=data: surface.check(data))  # type: ignore[misc]
    outcome.seconds = round(time.perf_counter() - begin, 1)
    kept.unlink(missing_ok=True)
    return outcome


def under_way(name: str, seed: int, stream: int) -> Path:
    """Where a stream keeps the input that it tries, for the case that it does not live to tell."""
    return Path(tempfile.gettempdir()) / f"shelm-fuzz-{name}-{seed}-{stream}"


def run_here(name: str, seed: int, n: int, streams: int, *, keep: bool = True) -> Outcome:
    """A surface without a server, in processes of its own, each of which may take no more than its share of memory.

    Never in the caller's process: a surface limits its process's memory for good, and silences its libraries.
    """
    with ProcessPoolExecutor(streams, multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(run_stream, name, seed, n, one, streams, keep=keep) for one in range(streams)]
    parts = list[Outcome]()
    for stream, one in enumerate(waiting):
        try:
            parts.append(one.result())
        except BrokenProcessPool:
            parts.append(
                Outcome(name, seed, failed=[f"stream {stream} has ended; under way: {under_way(name, seed, stream)}"])
            )
    whole = Outcome(name, seed, sum(one.inputs for one in parts), sum(one.taken for one in parts))
    whole.failed = [line for one in parts for line in one.failed]
    whole.seconds, whole.slowest_ms = max(one.seconds for one in parts), max(one.slowest_ms for one in parts)
    return whole


async def run_session(live: Any, name: str, seed: int, n: int, rate: float, *, keep: bool = True) -> Outcome:
    """A surface of a running server."""
    surface, outcome, begin = load(name), Outcome(name, seed, keep=keep), time.perf_counter()
    numbered, sent = given(surface, name, seed, n), itertools.count()

    async def stream(session: Any) -> None:
        for number, data in numbered:
            await asyncio.sleep(begin + next(sent) / rate - time.perf_counter())
            before = time.perf_counter()
            try:
                taken = await session.check(data)
                outcome.taken += taken
            except Exception as error:
                outcome.fails(number, data, error)
            outcome.counts(before)

    live.told.clear()
    async with surface.Session(live) as session:
        await asyncio.gather(*(stream(session) for _ in range(AT_ONCE)))
    outcome.seconds, outcome.told = round(time.perf_counter() - begin, 1), dict(live.told)
    return outcome


def run_live(names: list[str], seed: int, n: int, rate: float, alone: float) -> list[Outcome]:
    """The surfaces of a running server, one after the other. alone: seconds that the bystander acts with nobody else."""
    fuzz_live, outcomes = importlib.import_module("fuzz_live"), list[Outcome]()
    with tempfile.TemporaryDirectory() as folder, fuzz_live.Live(folder=Path(folder)).running() as live:
        for name in names:
            if alone:
                with live.bystander() as before:
                    time.sleep(alone)
            with live.bystander() as beside:
                outcome = asyncio.run(run_session(live, name, seed, n, rate))
            outcome.bystander = {f"{key}_beside": value for key, value in beside.items()}
            if alone:
                outcome.bystander |= {f"{key}_alone": value for key, value in before.items()}
            outcome.grown_mib = live.grown()
            outcome.failed += live.faults()
            print(outcome, flush=True)
            outcomes.append(outcome)
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz surfaces.")
    parser.add_argument("surfaces", nargs="*", default=SURFACES, choices=SURFACES)
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--streams", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rate", type=float, default=200.0, help="inputs a second at a server")
    parser.add_argument(
        "--alone", type=float, default=10.0, help="seconds that the bystander acts alone, before each surface"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.nice(5)  # what is sent should not be in the way of who answers
    outcomes, live = list[Outcome](), list[str]()
    for name in options.surfaces:
        if hasattr(load(name), "Session"):
            live.append(name)
            continue
        outcomes.append(run_here(name, options.seed, options.inputs, options.streams))
        print(outcomes[-1], flush=True)
    if live:
        outcomes += run_live(live, options.seed, options.inputs, options.rate, options.alone)
    if options.json:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
        record = {"command": " ".join(sys.argv), "commit": commit, "surfaces": [asdict(one) for one in outcomes]}
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    return int(any(one.failed for one in outcomes))


if __name__ == "__main__":
    sys.exit(main())
