"""Starts the services in the ways that the benchmarks compare, and reads what they say of themselves.

Every deployment has the same Redis (`appendfsync always`), one torch thread per process unless a setting says otherwise, and
exports metrics. `checkout` names another checkout of this repository, whose services are started in the place of these.

Failure policy: a service that does not start raises CannotRun, or RuntimeError with the end of its log; nothing is left
running.
"""

import contextlib
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import psutil  # type: ignore[import-untyped]
import redis
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families
from shelm import Client
from shelm.gym import minigrid_env

from deploy.local.bucket_server import bucket_access, bucket_command, make_bucket
from deploy.local.redis_server import redis_command
from deploy.local.stack import Stack, free_port

REPOSITORY = Path(__file__).parents[1]
BUNDLE = "models/minigrid-memory"
START = 300.0  # seconds, on a busy machine with models of the paper's size
Settings = Mapping[str, str]
Readings = dict[str, tuple[float, float]]  # by queue: items and batches so far


@dataclass
class Deployment:
    """Running services. pids: by process. metrics: addresses."""

    name: str
    target: str
    pids: dict[str, int]
    metrics: list[str] = field(default_factory=list)
    memory_target: str = ""  # of the memory service, where it is a process
    triton: str = ""

    def cpu_seconds(self) -> dict[str, float]:
        """Returns the CPU time that each process has used."""
        return {name: cpu_seconds(pid) for name, pid in self.pids.items()}

    def resident_bytes(self) -> dict[str, int]:
        """Returns the resident size of each process."""
        return {name: int(psutil.Process(pid).memory_info().rss) for name, pid in self.pids.items()}

    def batches(self) -> Readings:
        """Returns items and batches of every queue so far, and of Triton's models."""
        found = {name: reading for address in self.metrics for name, reading in _batches(address).items()}
        return {**found, **(_triton_batches(self.triton) if self.triton else {})}


def cpu_seconds(pid: int) -> float:
    """Returns the CPU time, user and system, of a process and its children."""
    process = psutil.Process(pid)
    times = [one.cpu_times() for one in [process, *process.children(recursive=True)]]
    return float(sum(one.user + one.system for one in times))


def _batches(address: str) -> Readings:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as reply:
        families = text_string_to_metric_families(reply.read().decode())
        samples = [one for family in families if family.name == "shelm_batch_size" for one in family.samples]
    values = {(one.labels["queue"], one.name): one.value for one in samples if not one.name.endswith("_bucket")}
    names = {queue for queue, _ in values}
    return {name: (values[name, "shelm_batch_size_sum"], values[name, "shelm_batch_size_count"]) for name in names}


def _triton_batches(target: str) -> Readings:
    import tritonclient.grpc as triton  # here and below, because a machine for the rest may lack it

    with triton.InferenceServerClient(target) as client:
        stats = client.get_inference_statistics().model_stats
    return {"triton " + one.name.rpartition("_")[0]: (one.inference_count, one.execution_count) for one in stats}


@contextmanager
def redis_server(folder: Path) -> Iterator[tuple[str, int]]:
    """Runs a Redis; yields its address and process id."""
    port = free_port()
    with _process(redis_command(port, folder / "redis"), folder / "redis.log", os.environ) as process:
        url = f"redis://127.0.0.1:{port}/0"
        with redis.Redis.from_url(url) as client:
            _wait(process, folder / "redis.log", lambda: bool(client.ping()))
        yield url, process.pid


@contextmanager
def bucket_server(folder: Path, bucket: str) -> Iterator[Path]:
    """Runs a server that speaks S3, with an empty bucket; yields its log. This process is led to it meanwhile."""
    port, log = free_port(), folder / "bucket.log"
    with _process(bucket_command(port), log, os.environ) as process:
        _wait(process, log, lambda: make_bucket(port, bucket))
        with mock.patch.dict(os.environ, bucket_access(port)):
            yield log


@contextmanager
def three_processes(
    folder: Path, redis_at: tuple[str, int], settings: Settings, *, checkout: Path = REPOSITORY, name: str = "processes"
) -> Iterator[Deployment]:
    """Runs retrieval, memory and policy as processes."""
    metrics = f"127.0.0.1:{_three_ports()}"
    environment = {**_environment(checkout, redis_at[0]), "SHELM_METRICS_LISTEN": metrics, **settings}
    stack = Stack(folder / name.replace(" ", "-"), environment)
    with contextlib.chdir(checkout):  # python -m takes modules from the working directory first
        stack.start()
    try:
        pids = {part: stack.pid(part) for part in ("retrieval", "memory", "policy")}
        addresses, memory = list(stack.metrics.values()), stack.environment["SHELM_MEMORY_TARGET"]
        yield Deployment(name, stack.target, {**pids, "redis": redis_at[1]}, addresses, memory)
    finally:
        stack.stop()


@contextmanager
def standalone(
    folder: Path, redis_at: tuple[str, int], settings: Settings, *, checkout: Path = REPOSITORY, name: str = "standalone"
) -> Iterator[Deployment]:
    """Runs all services in one process."""
    metrics = f"127.0.0.1:{free_port()}"
    environment = {**os.environ, **_environment(checkout, redis_at[0]), "SHELM_METRICS_LISTEN": metrics, **settings}
    command, log = [sys.executable, "-m", "services.standalone"], folder / f"{name.replace(' ', '-')}.log"
    with _process(command, log, environment, checkout) as process:
        _wait(process, log, lambda: _serves(environment["SHELM_LISTEN"]))
        yield Deployment(name, environment["SHELM_LISTEN"], {"standalone": process.pid, "redis": redis_at[1]}, [metrics])


@contextmanager
def behind_triton(
    folder: Path,
    redis_at: tuple[str, int],
    settings: Settings,
    *,
    bundle: str = BUNDLE,
    device: str = "cpu",
    models: str = "act",
    name: str = "behind triton",
) -> Iterator[Deployment]:
    """Runs the three services with their models in a Triton; needs `make triton-setup`. models: SHELM_TRITON_MODELS."""
    from services.triton.repository import main as write_models
    from tools.local_triton import TritonServer

    home, port = folder / name.replace(" ", "-"), free_port()
    write_models([bundle, "--out", str(home / "repository"), "--device", device])
    server = TritonServer(home / "repository", port=port, folder=home, environment=REPOSITORY / ".triton")
    engine = {"SHELM_ENGINE": "triton", "SHELM_TRITON_MODELS": models, "SHELM_TRITON_TARGET": server.target}
    server.start()
    try:
        with three_processes(folder, redis_at, {**settings, **engine}, name=name) as found:
            found.pids["triton"], found.triton = server.pid, server.target
            yield found
    finally:
        server.stop()


def record_frames(count: int) -> list[NDArray[np.uint8]]:
    """Returns frames of a random walk in MiniGrid-MemoryS11."""
    env = minigrid_env("MiniGrid-MemoryS11-v0")
    env.action_space.seed(0)
    frame, _ = env.reset(seed=0)
    frames: list[NDArray[np.uint8]] = []
    while len(frames) < count:
        frames.append(frame)
        frame, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            frame, _ = env.reset()
    return frames


def _environment(checkout: Path, url: str) -> dict[str, str]:
    inherited = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {
        "PYTHONPATH": os.pathsep.join([str(checkout), str(checkout / "clients/python/src"), *inherited]),
        "SHELM_LISTEN": f"127.0.0.1:{free_port()}",
        "SHELM_REDIS_URL": url,
        "SHELM_AGENTS": str(REPOSITORY / BUNDLE),
        "SHELM_LOG_LEVEL": "WARNING",
    }


def _three_ports() -> int:
    while True:
        port = free_port()
        with contextlib.suppress(OSError):
            for one in (port + 1, port + 2):
                import socket

                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", one))
            return port


@contextmanager
def _process(
    command: list[str], log: Path, environment: Mapping[str, str], folder: Path = REPOSITORY
) -> Iterator["subprocess.Popen[bytes]"]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=dict(environment), cwd=folder, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", log: Path, ready: Any) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(redis.RedisError):
            if ready():
                return
        time.sleep(0.1)
    raise RuntimeError(f"{log.stem} is not ready: {log.read_text(errors='replace')[-2000:]}")


def _serves(target: str) -> bool:
    from shelm.errors import ShelmError, Unauthenticated

    try:
        with Client(target, retry_for=0, timeout=2) as client:
            client.agents()
    except ShelmError as error:
        return isinstance(error, Unauthenticated)  # it asks for a token, so it serves
    return True
