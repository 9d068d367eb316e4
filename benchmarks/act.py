"""Latency and throughput of Act through the real services: `python -m benchmarks.act [--out FILE]`.

Side by side in one run: (a) the three services as separate processes, (b) everything in one process; each with 1, 4
and 16 episodes at once, the two in turn, several rounds. Held equal: the bundle, the frames (of one recorded walk),
deterministic actions, one torch thread per process, Redis with `appendfsync always`, the client on the same machine.
Also counts Redis's bytes per step.
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
from pathlib import Path
from typing import Any

import numpy as np
import redis
from numpy.typing import NDArray
from shelm import Client
from shelm.gym import minigrid_env

from deploy.local.stack import Stack, free_port
from services.domain.keys import episode_key, history_key

EPISODES = (1, 4, 16)
ROUNDS = 3
STEPS = 60  # per episode and round


def record_frames(count: int) -> list[NDArray[np.uint8]]:
    """Frames of a random walk in MiniGrid-MemoryS11."""
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
    """One episode over all frames; appends each Act's seconds."""
    with Client(target) as client, client.episode(f"bench-{uuid.uuid4().hex}", deterministic=True) as episode:
        for frame in frames:
            started = time.perf_counter()
            episode.act(frame)
            latencies.append(time.perf_counter() - started)


def measure(target: str, episodes: int, frames: list[NDArray[np.uint8]]) -> dict[str, float]:
    """`episodes` episodes at once, each from a thread of its own."""
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
    """What Redis holds for one episode, by MEMORY USAGE, over its steps."""
    store: Any = redis.Redis.from_url(url)
    name = f"bench-{uuid.uuid4().hex}"
    with Client(target) as client:
        for frame in frames:
            client.act(frame, name)
    keys = [history_key(name), episode_key(name)]
    return float(sum(store.memory_usage(key, samples=0) for key in keys)) / len(frames)


def standalone(url: str) -> tuple[str, subprocess.Popen[bytes]]:
    """Everything in one process, on the same Redis."""
    target = f"127.0.0.1:{free_port()}"
    env = {**os.environ, "SHELM_LISTEN": target, "SHELM_REDIS_URL": url, "SHELM_LOG_LEVEL": "WARNING"}
    process = subprocess.Popen([sys.executable, "-m", "services.standalone"], env=env)
    with Client(target, retry_for=120) as client:
        client.agents()
    return target, process


def main() -> None:
    """Measures and prints medians; `--out` keeps the raw rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    frames = record_frames(STEPS)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), {"SHELM_LISTEN": f"127.0.0.1:{free_port()}"}) as stack:
        url = stack.environment["SHELM_REDIS_URL"]
        target, process = standalone(url)
        try:
            targets = {"processes": stack.target, "one process": target}
            for where in targets.values():
                measure(where, 1, frames)  # warm: connections, caches
            for turn in range(ROUNDS):
                for episodes in EPISODES:
                    for name, where in targets.items():
                        figures = measure(where, episodes, frames)
                        rows.append({"deployment": name, "episodes": episodes, "round": turn, **figures})
            per_step = bytes_per_step(url, target, frames)
        finally:
            process.terminate()
            process.wait(30)
    for name in ("processes", "one process"):
        for episodes in EPISODES:
            own = [row for row in rows if row["deployment"] == name and row["episodes"] == episodes]
            median = {key: statistics.median(row[key] for row in own) for key in ("acts_per_second", "p50_ms", "p99_ms")}
            print(name, f"{episodes} episodes:", {key: round(value, 2) for key, value in median.items()})
    print(f"Redis: {per_step:.0f} bytes per step")
    if options.out:
        about = {"machine": f"{os.cpu_count()} cores, {platform.machine()}", "steps": STEPS, "bytes_per_step": per_step}
        options.out.write_text(json.dumps({**about, "rounds": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
