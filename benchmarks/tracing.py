"""Measures the cost of traces: `python -m benchmarks.tracing [--out FILE] [--rounds N]`.

Compares, in one run, the three services with traces off, with one percent of the traces sampled, and with all, each with 1
and 16 concurrent episodes, alternating, in several rounds. Constant: everything that benchmarks.load keeps constant, one
Redis, and a collector in this process that discards its input. Measure on an idle machine.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from shelm import Client

from benchmarks.deployments import record_frames
from deploy.local.stack import Stack, free_port

EPISODES = (1, 16)
STEPS = 60  # per episode and round
RATIOS = {"off": "", "ratio 0.01": "0.01", "ratio 1": "1"}


class Sink(trace_service_pb2_grpc.TraceServiceServicer):
    """A collector that counts spans."""

    spans = 0

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
        """See opentelemetry-proto."""
        self.spans += sum(len(scope.spans) for group in request.resource_spans for scope in group.scope_spans)
        return trace_service_pb2.ExportTraceServiceResponse()


def play(target: str, frames: list[NDArray[np.uint8]], latencies: list[float]) -> None:
    """Plays one episode over all frames; appends the duration of each Act in seconds."""
    with Client(target) as client, client.episode(f"bench-{uuid.uuid4().hex}", deterministic=True) as episode:
        for frame in frames:
            started = time.perf_counter()
            episode.act(frame)
            latencies.append(time.perf_counter() - started)


def measure(target: str, episodes: int, frames: list[NDArray[np.uint8]]) -> dict[str, float]:
    """Plays `episodes` concurrent episodes, each in its own thread."""
    latencies: list[float] = []
    threads = [threading.Thread(target=play, args=(target, frames, latencies)) for _ in range(episodes)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    p50, p99 = np.percentile(latencies, [50, 99])
    return {"acts_per_second": len(latencies) / seconds, "p50_ms": float(p50) * 1000, "p99_ms": float(p99) * 1000}


def rounds(
    targets: dict[str, str], counts: Sequence[int], frames: list[NDArray[np.uint8]], turns: int
) -> list[dict[str, Any]]:
    """Measures all deployments, alternating."""
    rows: list[dict[str, Any]] = []
    for where in targets.values():
        measure(where, 1, frames)  # warm-up: connections, caches
    for turn in range(turns):
        for episodes in counts:
            for name, where in targets.items():
                rows.append({"deployment": name, "episodes": episodes, "round": turn, **measure(where, episodes, frames)})
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """Prints medians."""
    for name, episodes in sorted({(row["deployment"], row["episodes"]) for row in rows}):
        own = [row for row in rows if row["deployment"] == name and row["episodes"] == episodes]
        median = {key: statistics.median(row[key] for row in own) for key in ("acts_per_second", "p50_ms", "p99_ms")}
        print(name, f"{episodes} episodes:", {key: round(value, 2) for key, value in median.items()})


def main() -> None:
    """Measures and prints medians; `--out` saves the raw rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    sink, server = Sink(), grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(sink, server)  # type: ignore[no-untyped-call]
    collector = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        common: dict[str, str] = {}
        targets: dict[str, str] = {}
        for name, ratio in RATIOS.items():
            traces = {"SHELM_TRACES": collector, "SHELM_TRACES_RATIO": ratio} if ratio else {}
            settings = {**common, **traces, "SHELM_LISTEN": f"127.0.0.1:{free_port()}"}
            stack = running.enter_context(Stack(folder / name.replace(" ", "-"), settings))
            common["SHELM_REDIS_URL"] = stack.environment["SHELM_REDIS_URL"]
            targets[name] = stack.target
        result: dict[str, Any] = {"machine": f"{os.cpu_count()} cores, {platform.machine()}", "steps": STEPS}
        result["rounds"] = rounds(targets, EPISODES, record_frames(STEPS), turns=options.rounds)
    server.stop(None)
    result["spans"] = sink.spans
    show(result["rounds"])
    print({key: value for key, value in result.items() if key != "rounds"})
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
