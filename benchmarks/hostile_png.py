"""A PNG that costs far more than its pixels: `python -m benchmarks.hostile_png [--against CHECKOUT]`.

CALLERS callers send a PNG of one frame that carries EMPTY_BYTES of empty chunks, again and again, EVERY seconds apart,
beside a bystander that acts with an honest PNG every PAUSE seconds. The server is one process; `--against` measures another
checkout in turns with this one. Rows: checkout, whether alone or beside the callers, Acts of the bystander, p50_ms, p99_ms
and longest_ms of them (all rounds together), and how often each status was told to the callers.

Bystander and callers are threads of one process and share the machine with the server, so compare the two checkouts.
"""

import io
import struct
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from PIL import Image
from shelm.v1 import agent_pb2, agent_pb2_grpc

from benchmarks.deployments import REPOSITORY, record_frames, redis_server, standalone
from benchmarks.report import options, table, write

CALLERS, EVERY, PAUSE = 6, 0.2, 0.05  # seconds
EMPTY_BYTES = 3_900_000  # below the 4 MiB that gRPC takes by default
HEADER_END = 33  # of a PNG: its signature and first chunk
SECONDS, ROUNDS = 15.0, 2
QUICK_SECONDS, QUICK_ROUNDS = 2.0, 1


class Caller:
    """Acts with one PNG."""

    def __init__(self, target: str, png: bytes, size: tuple[int, int]) -> None:
        own = [("shelm.caller", id(self) % 2**31)]  # so that no two share a connection
        self._stub: Any = agent_pb2_grpc.AgentServiceStub(grpc.insecure_channel(target, own))
        self._image = agent_pb2.Image(data=png, encoding=agent_pb2.ENCODING_PNG, height=size[0], width=size[1])

    def act(self, episode: str, step: int) -> str:
        """Returns the name of the status."""
        try:
            self._stub.Act(agent_pb2.ActRequest(episode_id=episode, step=step, observation=self._image), timeout=60)
        except grpc.RpcError as error:
            return str(error.code().name)
        return "OK"


def with_empty_chunks(png: bytes) -> bytes:
    """The same picture, with chunks that a decoder has to walk through."""
    chunk = struct.pack(">I", 0) + b"teSt" + struct.pack(">I", zlib.crc32(b"teSt"))
    return png[:HEADER_END] + chunk * (EMPTY_BYTES // len(chunk)) + png[HEADER_END:]


@contextmanager
def callers(target: str, png: bytes, size: tuple[int, int], told: Counter[str]) -> Iterator[None]:
    """They call for the time of the block."""
    stop = threading.Event()

    def call(number: int) -> None:
        caller = Caller(target, png, size)
        while not stop.wait(EVERY):
            told[caller.act(f"hostile-{number}-{id(told)}", 0)] += 1

    with ThreadPoolExecutor(CALLERS) as threads:
        threads.map(call, range(CALLERS))
        try:
            yield
        finally:
            stop.set()


def bystander(caller: Caller, episode: str, seconds: float) -> list[float]:
    """Milliseconds of each Act; RuntimeError if one fails."""
    times, end = list[float](), time.monotonic() + seconds
    for step in count():
        if time.monotonic() >= end:
            return times
        before = time.perf_counter()
        if (status := caller.act(episode, step)) != "OK":
            raise RuntimeError(f"the bystander's Act failed: {status}")
        times.append(1000 * (time.perf_counter() - before))
        time.sleep(PAUSE)
    raise AssertionError("never")


def main() -> None:
    """Runs the command."""
    parser = options(__doc__)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout of this repository")
    arguments = parser.parse_args()
    seconds = QUICK_SECONDS if arguments.quick else SECONDS
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    frame, buffer = record_frames(1)[0], io.BytesIO()
    Image.fromarray(frame).save(buffer, "PNG")
    honest, size = buffer.getvalue(), (frame.shape[0], frame.shape[1])
    checkouts = {"before": arguments.against.resolve()} if arguments.against else {}
    times: dict[tuple[str, str], list[float]] = {}
    told, targets = dict[str, Counter[str]](), dict[str, str]()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for name, checkout in {**checkouts, "now": REPOSITORY}.items():
            place = Path(folder) / name
            at = stack.enter_context(redis_server(place))
            target = stack.enter_context(standalone(place, at, {}, checkout=checkout, name=name)).target
            targets[name], told[name] = target, Counter()
        for number in range(rounds):
            for name, target in targets.items():
                one = Caller(target, honest, size)
                bystander(one, f"warm-{number}", 1)
                times.setdefault((name, "alone"), []).extend(bystander(one, f"alone-{number}", seconds))
                with callers(target, with_empty_chunks(honest), size, told[name]):
                    times.setdefault((name, "beside"), []).extend(bystander(one, f"beside-{number}", seconds))
    rows = [row(name, way, found, told[name] if way == "beside" else Counter()) for (name, way), found in times.items()]
    print(table(rows))
    write({"seconds": seconds, "rounds": rounds, "rows": rows}, arguments.json)


def row(checkout: str, way: str, times: list[float], told: Counter[str]) -> dict[str, Any]:
    """One row of the table."""
    found = {"p50_ms": np.median(times), "p99_ms": np.quantile(times, 0.99), "longest_ms": max(times)}
    rounded = {name: round(float(value), 1) for name, value in found.items()}
    return {"checkout": checkout, "bystander": way, "acts": len(times), **rounded, "callers": dict(told)}


if __name__ == "__main__":
    main()
