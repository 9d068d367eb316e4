"""What the surfaces of a running server share: the server, its memory, its log, and a bystander.

`Live` starts the three services, a Redis and the inspector as `make serve` does, with tokens, recorded frames and an
archive, and leaves no process. What must hold of every answer is in `judged`; of the run as a whole, in `faults`.
"""

import contextlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import grpc
import psutil  # type: ignore[import-untyped]
from shelm.v1 import agent_pb2
from support.errors import refusal_of, refusal_of_call
from support.frames import Frame, collect_frames
from support.gateway import Gateway, play
from support.process import REPOSITORY

from deploy.local.stack import Stack, free_port
from services.protocol.reasons import CODES

TOKENS = {
    "act": "f" * 32 + " simulators act,read tenant=acme",
    "read": "e" * 32 + " dashboard read tenant=acme",
    "own": "d" * 32 + " intern",
    "admin": "a" * 32 + " operator admin",
    "inner": "b" * 32 + " policy inner",
    "bystander": "c" * 32 + " bystander",
}
SECRETS = {name: line.split()[0] for name, line in TOKENS.items()}
EPISODES = ("fuzz", "fuzz:ended", "fuzz:other")
SECONDS = 20.0  # deadline of a call
GROWTH = 256 * 2**20  # bytes that a process may take beyond what it had when it was warm
# gRPC's own answers, without details of ours: docs/protocol.md#errors.
OF_GRPC = {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNIMPLEMENTED}
# Reasons that a server without faults, and with all its parts, may give.
NEVER = {"INTERNAL", "MODEL_FAILED", "API_UNAVAILABLE", "OPEN_API", "EPISODE_DAMAGED", "SERVER_STOPPING", "REPLICA_AWAY"} | {
    reason for reason, code in CODES.items() if code is grpc.StatusCode.UNAVAILABLE
}


class Wrong(Exception):  # noqa: N818
    """An answer that must not be."""


@dataclass
class Served:
    """Where a server that somebody has started is reached, and how often each answer was given."""

    targets: Mapping[str, str] = field(default_factory=dict)  # of policy, and of retrieval and memory where they are apart
    page: tuple[str, int] = ("", 0)  # host and port of the inspector
    secrets: Sequence[str] = tuple(SECRETS.values())  # tokens that the server knows
    told: Counter[str] = field(default_factory=Counter)


class ToServices:
    """Channels to the services of a server, for the time of a block; several inputs may be under way at once."""

    def __init__(self, live: Served) -> None:
        self._live = live
        self._channels = {name: grpc.aio.insecure_channel(target) for name, target in live.targets.items()}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for channel in self._channels.values():
            await channel.close(None)


@dataclass
class Live(Served):
    """The server that a whole run is about."""

    folder: Path = Path()
    stack: Stack = field(init=False)
    troubles: list[str] = field(default_factory=list)  # of the bystander
    warm: dict[str, int] = field(default_factory=dict)  # bytes of each process
    before: dict[str, int] = field(default_factory=dict)  # process ids

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        tokens = self.folder / "tokens"
        tokens.write_text("\n".join(TOKENS.values()) + "\n")
        self.stack = Stack(
            self.folder / "run",
            {
                "SHELM_LISTEN": f"127.0.0.1:{free_port()}",
                "SHELM_INSPECTOR_LISTEN": f"127.0.0.1:{free_port()}",
                "SHELM_TOKENS_FILE": str(tokens),
                "SHELM_RECORD": str(self.folder / "frames"),
                "SHELM_RECORD_BYTES": str(2**26),
                "SHELM_ARCHIVE": str(self.folder / "archive"),
                "SHELM_EPISODE_TTL": "600",
                "SHELM_ENDED_TTL": "120",
            },
            inspector=True,
        )
        inner = {name: self.stack.environment[f"SHELM_{name.upper()}_TARGET"] for name in ("retrieval", "memory")}
        self.targets = {"policy": self.stack.target, **inner}
        host, _, port = self.stack.environment["SHELM_INSPECTOR_LISTEN"].rpartition(":")
        self.page = host, int(port)

    @contextlib.contextmanager
    def running(self) -> Iterator["Live"]:
        """Started and warm on entry, stopped on exit."""
        try:
            self.stack.start()
            self._warm()
            yield self
        finally:
            self.stack.stop()

    def _warm(self) -> None:
        frames: Sequence[Frame] = collect_frames(32)
        for token in ("act", "own", "admin"):
            with contextlib.closing(Gateway(self.stack.target, token=SECRETS[token])) as gateway:
                for name in EPISODES:
                    play(gateway, name, frames[:5])
                gateway.end("fuzz:ended", total_reward=1.0)
                with contextlib.suppress(grpc.RpcError):  # a frame may not be written yet
                    gateway.call("ExplainStep", agent_pb2.ExplainStepRequest(episode_id="fuzz", step=4))
        self.before, self.warm = self._pids(), {name: memory(pid) for name, pid in self._pids().items()}

    def _pids(self) -> dict[str, int]:
        return {name: self.stack.pid(name) for name in ("redis", "retrieval", "memory", "policy", "inspector")}

    def faults(self) -> list[str]:
        """What is wrong with the processes now: ended, too large, or with a fault in their logs."""
        found = [
            *self.troubles,
            *(f"{name} has ended or was started again" for name, pid in self._pids().items() if pid != self.before[name]),
        ]
        self.troubles.clear()
        for name, pid in self._pids().items():
            if psutil.pid_exists(pid) and (grown := memory(pid) - self.warm[name]) > GROWTH:
                found.append(f"{name} has grown by {grown / 2**20:.0f} MiB")
        for log in sorted((self.folder / "run").rglob("*.log")):
            text = log.read_text(errors="replace")
            found += [f"{log.name}: {mark}" for mark in ("Traceback", "reference ") if mark in text]
        return found

    def grown(self) -> dict[str, float]:
        """MiB that each process has taken beyond what it had when it was warm."""
        return {name: round((memory(pid) - self.warm[name]) / 2**20, 1) for name, pid in self._pids().items()}

    @contextlib.contextmanager
    def bystander(self) -> Iterator[dict[str, float]]:
        """Acts every 50 ms in a process of its own; what it has measured is there after the block."""
        measured: dict[str, float] = {}
        command = [sys.executable, str(Path(__file__).with_name("bystander.py")), self.stack.target, SECRETS["bystander"]]
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY, env=_environment(), text=True
        )
        assert child.stdout
        child.stdout.readline()  # it acts
        try:
            yield measured
        finally:
            out, _ = child.communicate("", timeout=60)
            if child.returncode:
                self.troubles.append("the bystander's Act failed")
            else:
                measured |= json.loads(out)


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": ":".join(sys.path)}


def memory(pid: int) -> int:
    """Resident bytes of a process."""
    return int(psutil.Process(pid).memory_info().rss)


def check_items(results: Any) -> None:
    """Raises `Wrong` if an item of an answer was refused as a call may not be."""
    for result in results:
        if result.WhichOneof("outcome") == "status":
            refusal = refusal_of(result.status)
            if refusal.reason in NEVER or CODES.get(refusal.reason) is not refusal.code:
                raise Wrong(f"an item: {refusal.code.name} {refusal.reason}: {refusal.message[:200]}")


def judged(error: grpc.aio.AioRpcError, *, expected: Sequence[grpc.StatusCode] = ()) -> str:
    """Returns the reason of a refusal; raises `Wrong` if it is none that the protocol names."""
    code = error.code()
    if code in expected:
        return str(code.name)
    trailers: Any = error.trailing_metadata() or ()
    if "grpc-status-details-bin" not in dict(trailers):
        if code in OF_GRPC:
            return f"{code.name} of gRPC"
        raise Wrong(f"{code.name} without details: {str(error.details())[:200]!r}")
    refusal = refusal_of_call(error)
    if refusal.reason in NEVER or CODES.get(refusal.reason) is not code:
        raise Wrong(f"{code.name} {refusal.reason}: {refusal.message[:200]}")
    return refusal.reason
