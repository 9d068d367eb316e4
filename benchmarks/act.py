"""Measures latency and throughput of Act through the real services: `python -m benchmarks.act [--out FILE] [--triton]`.

Compares, in one run: (a) the three services as separate processes, (b) all services in one process, and with `--triton` (c)
as (a) with all models in a Triton on the CPU. Each is measured with 1, 4 and 16 concurrent episodes, alternating, in several
rounds; with `--triton` also with 32, and the mean size of Triton's batches. Constant: the bundle, the frames (of one
recorded walk), deterministic actions, one torch thread per process, Redis with `appendfsync always`, the client on the same
machine. Also measures Redis's bytes per step.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import redis
import tritonclient.grpc as triton
from numpy.typing import NDArray
from shelm import Client
from shelm.gym import minigrid_env

from deploy.local.stack import Stack, free_port
from services.store.keys import episode_key, history_key
from services.triton.repository import main as write_models
from tools.local_triton import TritonServer

BUNDLE = "models/minigrid-memory"
EPISODES = (1, 4, 16)
ROUNDS = 3
STEPS = 60  # per episode and round


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


def bytes_per_step(url: str, target: str, frames: list[NDArray[np.uint8]]) -> float:
    """Returns the memory that Redis uses for one episode (MEMORY USAGE), divided by its steps."""
    store: Any = redis.Redis.from_url(url)
    name = f"bench-{uuid.uuid4().hex}"
    with Client(target) as client:
        for frame in frames:
            client.act(frame, name)
    keys = [history_key(name), episode_key(name)]
    return float(sum(store.memory_usage(key, samples=0) for key in keys)) / len(frames)


def standalone(url: str) -> tuple[str, subprocess.Popen[bytes]]:
    """Runs all services in one process, on the same Redis."""
    target = f"127.0.0.1:{free_port()}"
    env = {**os.environ, "SHELM_LISTEN": target, "SHELM_REDIS_URL": url, "SHELM_LOG_LEVEL": "WARNING"}
    process = subprocess.Popen([sys.executable, "-m", "services.standalone"], env=env)
    with Client(target, retry_for=120) as client:
        client.agents()
    return target, process


@contextmanager
def behind_triton(url: str, folder: Path) -> Iterator[tuple[str, TritonServer]]:
    """Runs the three services with their models in a Triton, on the same Redis."""
    repository, port = folder / "repository", free_port()
    write_models([BUNDLE, "--out", str(repository)])
    server = TritonServer(repository, port=port, folder=folder)
    settings = {"SHELM_ENGINE": "triton", "SHELM_TRITON_TARGET": server.target, "SHELM_REDIS_URL": url}
    server.start()
    try:
        with Stack(folder / "stack", {**settings, "SHELM_LISTEN": f"127.0.0.1:{free_port()}"}) as stack:
            yield stack.target, server
    finally:
        server.stop()


def mean_batches(server: TritonServer) -> dict[str, tuple[int, int]]:
    """Returns rows and batches of each model so far, from Triton's own statistics."""
    with triton.InferenceServerClient(server.target) as client:
        stats = client.get_inference_statistics().model_stats
    return {one.name.rpartition("_")[0]: (one.inference_count, one.execution_count) for one in stats}


def rounds(
    targets: dict[str, str], counts: Sequence[int], frames: list[NDArray[np.uint8]], turns: int = ROUNDS
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
    parser.add_argument("--triton", action="store_true", help="also measure with Triton; needs `make triton-setup`")
    options = parser.parse_args()
    frames = record_frames(STEPS)
    result: dict[str, Any] = {"machine": f"{os.cpu_count()} cores, {platform.machine()}", "steps": STEPS}
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        listen = {"SHELM_LISTEN": f"127.0.0.1:{free_port()}"}
        stack = running.enter_context(Stack(folder / "processes", listen))
        url = stack.environment["SHELM_REDIS_URL"]
        target, process = standalone(url)
        running.callback(process.wait, 30)
        running.callback(process.terminate)
        targets = {"processes": stack.target, "one process": target}
        counts: tuple[int, ...] = EPISODES
        if options.triton:
            targets["behind triton"], server = running.enter_context(behind_triton(url, folder))
            counts = (*EPISODES, 32)
        result["rounds"] = rounds(targets, counts, frames)
        result["bytes_per_step"] = bytes_per_step(url, target, frames)
        if options.triton:
            before = mean_batches(server)
            measure(targets["behind triton"], 32, frames)
            now = mean_batches(server)
            result["mean_batch_at_32"] = {
                part: (now[part][0] - before[part][0]) / (now[part][1] - before[part][1]) for part in now
            }
    show(result["rounds"])
    print({key: value for key, value in result.items() if key != "rounds"})
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
