"""Measures the cost of traces: `python -m benchmarks.tracing [--out FILE] [--rounds N]`.

Compares, in one run, the three services with traces off, with one percent of the traces sampled, and with all, each with 1
and 16 concurrent episodes, alternating, in several rounds. Constant: everything that benchmarks.act keeps constant, one
Redis, and a collector in this process that discards its input. Measure on an idle machine.
"""

import argparse
import json
import os
import platform
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from benchmarks.act import STEPS, record_frames, rounds, show
from deploy.local.stack import Stack, free_port

EPISODES = (1, 16)
RATIOS = {"off": "", "ratio 0.01": "0.01", "ratio 1": "1"}


class Sink(trace_service_pb2_grpc.TraceServiceServicer):
    """A collector that counts spans."""

    spans = 0

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
        """See opentelemetry-proto."""
        self.spans += sum(len(scope.spans) for group in request.resource_spans for scope in group.scope_spans)
        return trace_service_pb2.ExportTraceServiceResponse()


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
