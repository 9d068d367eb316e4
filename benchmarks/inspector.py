"""Measures the cost of the inspector: `python -m benchmarks.inspector [--out FILE] [--processes|--apart] ...`.

Compares the throughput of Act with the inspector open on every running episode (one viewer per episode, one of the list,
which also reads the new steps of the rows on its screen, and one of the overview) and with the inspector closed, alternating
(closed, open, closed, open, ...) in one run. 50 episodes act continuously, each taking its next step as soon as the last one
is answered. Constant: server, bundle, frames (of one recorded walk, words cached), deterministic actions, one torch thread,
Redis with `appendfsync always`, and the client. In the closed phases the inspector runs without viewers.

Viewers read server-sent events as a browser does, in a separate process on the same machine, so their cost is part of the
result. The CPU time of each process per Act is measured too, because it depends less on other load. Measure on an idle
machine; the load average before and after is part of the output.

`--apart` gives the server one core, and everything else (clients, viewers, the inspector, Redis) the other, in closed and
open phases alike. The remaining cost is that of the server itself, as with an inspector on another machine.
"""

import argparse
import asyncio
import itertools
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil  # type: ignore[import-untyped]
from shelm.v1 import agent_pb2, agent_pb2_grpc

from benchmarks.deployments import record_frames
from deploy.local.redis_server import redis_command
from deploy.local.stack import Stack, free_port
from training.quick import parse

EPISODES = 50
OVERVIEW_EVERY = 5.0  # seconds, as in static/overview.js
ROWS, ROW_EVERY, ROW_STEPS = 25, 0.4, 10  # as in static/list.js and peek.js: episodes, seconds between two, steps of each
WARM = 3.0  # seconds before the first phase
SETTLE = 1.5  # seconds after viewers connected or disconnected


class Actors:
    """Episodes that act continuously, over one channel."""

    def __init__(self, target: str, names: list[str]) -> None:
        self._channel = grpc.aio.insecure_channel(target)
        self._stub: Any = agent_pb2_grpc.AgentServiceStub(self._channel)
        self._images = [
            agent_pb2.Image(
                encoding=agent_pb2.ENCODING_RAW_RGB8, height=frame.shape[0], width=frame.shape[1], data=frame.tobytes()
            )
            for frame in record_frames(60)
        ]
        self.acts = 0
        self._tasks = [asyncio.create_task(self._act(name)) for name in names]

    async def _act(self, name: str) -> None:
        step = 0
        while True:
            image = self._images[step % len(self._images)]
            await self._stub.Act(agent_pb2.ActRequest(episode_id=name, step=step, observation=image, deterministic=True))
            step += 1
            self.acts += 1

    async def rate(self, seconds: float) -> float:
        """Returns the Acts per second during the next `seconds`."""
        before, began = self.acts, time.perf_counter()
        await asyncio.sleep(seconds)
        for task in self._tasks:
            if task.done():
                task.result()  # raises the error that ended it
        return (self.acts - before) / (time.perf_counter() - began)

    async def close(self) -> None:
        """Ends the episodes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._channel.close(None)


def look(url: str, names: list[str], look_now: Event, seen: Any) -> None:
    """Runs the viewers' process: while `look_now` is set, a stream per episode, one of the list, and the overview.

    seen: steps received.
    """

    async def view(client: httpx.AsyncClient, path: str) -> None:
        async with client.stream("GET", path) as reply:
            reply.raise_for_status()
            async for line in reply.aiter_lines():
                with seen.get_lock():
                    seen.value += line.count('"step":')

    async def rows(client: httpx.AsyncClient, following: dict[str, int]) -> None:
        for name in itertools.cycle(names[:ROWS]):
            reply = await client.get(f"/api/episodes/{name}/memory?from={following[name]}&limit={ROW_STEPS}")
            following[name] += len(reply.raise_for_status().json())
            await asyncio.sleep(ROW_EVERY)

    async def overview(client: httpx.AsyncClient) -> None:
        while True:
            (await client.get("/api/overview")).raise_for_status()
            await asyncio.sleep(OVERVIEW_EVERY)

    async def run() -> None:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=url, timeout=None, limits=limits) as client:
            while True:
                await asyncio.to_thread(look_now.wait)
                steps = [
                    json.loads(reply.text)["committed_step"]
                    for reply in [await client.get(f"/api/episodes/{n}") for n in names]
                ]
                paths = [f"/api/episodes/{name}/live?from={step}" for name, step in zip(names, steps, strict=True)]
                tasks = [asyncio.create_task(view(client, path)) for path in [*paths, "/api/episodes"]]
                tasks.append(asyncio.create_task(rows(client, dict(zip(names, steps, strict=True)))))
                tasks.append(asyncio.create_task(overview(client)))
                while look_now.is_set():  # noqa: ASYNC110 - of another process
                    await asyncio.sleep(0.1)
                for task in tasks:
                    task.cancel()
                for result in await asyncio.gather(*tasks, return_exceptions=True):
                    if not isinstance(result, asyncio.CancelledError):
                        raise RuntimeError(f"a viewer ended: {result!r}")

    asyncio.run(run())


@contextmanager
def server(folder: Path, *, processes: bool, metrics: str, core: str = "") -> Iterator[tuple[str, dict[str, int]]]:
    """Runs the public API in three processes or one; returns its address and process. metrics: address of the single
    process's. core: of the single process, if it has its own.
    """
    if processes:
        with Stack(folder / "stack", {"SHELM_LISTEN": f"127.0.0.1:{free_port()}"}) as stack:
            yield stack.target, {name: stack.pid(name) for name in ("redis", "retrieval", "memory", "policy")}
        return
    port, target = free_port(), f"127.0.0.1:{free_port()}"
    env = {
        **os.environ,
        "SHELM_LISTEN": target,
        "SHELM_REDIS_URL": f"redis://127.0.0.1:{port}/0",
        "SHELM_LOG_LEVEL": "WARNING",
        "SHELM_METRICS_LISTEN": metrics,
    }
    command = [*(["taskset", "--cpu-list", core] if core else []), sys.executable, "-m", "services.standalone"]
    with running(redis_command(port, folder / "redis"), {}) as redis, running(command, env) as standalone:
        with grpc.insecure_channel(target) as channel:
            stub: Any = agent_pb2_grpc.AgentServiceStub(channel)
            stub.ListAgents(agent_pb2.ListAgentsRequest(), wait_for_ready=True, timeout=120)
        yield target, {"redis": redis, "standalone": standalone}


@contextmanager
def inspector(target: str, metrics: str) -> Iterator[tuple[str, int]]:
    """Runs the inspector; returns its address and process."""
    listen = f"127.0.0.1:{free_port()}"
    own = {"SHELM_INSPECTOR_LISTEN": listen, "SHELM_INSPECTOR_TARGET": target, "SHELM_INSPECTOR_METRICS": metrics}
    env = {**os.environ, **own, "SHELM_LOG_LEVEL": "WARNING"}
    with running([sys.executable, "-m", "services.inspector"], env) as pid:
        end = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://{listen}/healthz", timeout=2):
                    break
            except (urllib.error.URLError, OSError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
        yield f"http://{listen}", pid


@contextmanager
def running(command: list[str], env: dict[str, str]) -> Iterator[int]:
    """Runs a process, ended on exit."""
    process = subprocess.Popen(command, env=env or None, stdout=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


class Used:
    """CPU time of processes and their children. pids: by name."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._before: dict[str, float] = {}

    def start(self) -> None:
        """Starts the measurement."""
        self._before = self._now()

    def per_act(self, acts: int) -> dict[str, float]:
        """Returns milliseconds per Act since the start."""
        return {name: 1000 * (value - self._before[name]) / max(1, acts) for name, value in self._now().items()}

    def _now(self) -> dict[str, float]:
        return {
            name: sum(sum(each.cpu_times()[:2]) for each in (one, *one.children(recursive=True)))
            for name, one in self._processes.items()
        }


async def comes(what: Callable[[], int], viewers: Any) -> None:
    """Waits until viewers have received something."""
    async with asyncio.timeout(60):
        while not what():
            if not viewers.is_alive():
                raise RuntimeError("the viewers have ended; see above")
            await asyncio.sleep(0.1)


async def measure(target: str, url: str, pids: dict[str, int], *, seconds: float, rounds: int) -> list[dict[str, Any]]:
    """Runs closed and open phases, alternating."""
    names = [f"bench-{uuid.uuid4().hex[:12]}-{i}" for i in range(EPISODES)]
    context = multiprocessing.get_context("spawn")
    look_now, seen = context.Event(), context.Value("q", 0)
    viewers = context.Process(target=look, args=(url, names, look_now, seen), daemon=True)
    actors = Actors(target, names)
    viewers.start()
    used = Used({**pids, "viewers": viewers.pid or 0})
    rows: list[dict[str, Any]] = []
    try:
        await actors.rate(WARM)
        look_now.set()
        await comes(lambda: seen.value, viewers)  # warm-up: connections, imports
        for turn in range(2 * rounds):
            opened = turn % 2 == 1
            (look_now.set if opened else look_now.clear)()
            if opened:
                before = seen.value
                await comes(lambda: seen.value - before, viewers)  # noqa: B023 - called at once
            await actors.rate(SETTLE)
            before, acts = seen.value, actors.acts
            used.start()
            rate = await actors.rate(seconds)
            cpu = used.per_act(actors.acts - acts)
            row = {"inspector": "open" if opened else "closed", "acts_per_second": rate, "steps_seen": seen.value - before}
            rows.append({**row, "cpu_ms_per_act": cpu})
            print(rows[-1], flush=True)
    finally:
        viewers.terminate()
        await actors.close()
    return rows


def cost(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns medians, and the throughput lost in open phases, each compared with the closed phases next to it."""
    rates = [row["acts_per_second"] for row in rows]
    shares, names = [], rows[0]["cpu_ms_per_act"]
    for i in range(1, len(rates), 2):
        beside = [rates[i - 1], *rates[i + 1 : i + 2]]
        shares.append(1 - rates[i] / statistics.fmean(beside))
    return {
        "closed": statistics.median(rates[::2]),
        "open": statistics.median(rates[1::2]),
        "closed_cpu_ms_per_act": {
            name: statistics.median(row["cpu_ms_per_act"][name] for row in rows[::2]) for name in names
        },
        "open_cpu_ms_per_act": {
            name: statistics.median(row["cpu_ms_per_act"][name] for row in rows[1::2]) for name in names
        },
        "cost": statistics.median(shares),
        "least_cost": min(shares),
        "most_cost": max(shares),
    }


def main() -> None:
    """Measures and prints; `--out` saves the raw phases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seconds", type=float, default=15.0, help="duration of each phase")
    parser.add_argument("--rounds", type=int, default=3, help="number of closed and open phases")
    parser.add_argument("--processes", action="store_true", help="three services instead of one process")
    parser.add_argument("--apart", action="store_true", help="give the single server process its own core")
    options = parse(parser, None, seconds=1.0, rounds=1)
    if options.apart and options.processes:
        parser.error("--apart is for one process")
    load, core = os.getloadavg()[0], ""
    if options.apart:
        cores = os.sched_getaffinity(0)
        core = str(min(cores))
        os.sched_setaffinity(0, cores - {min(cores)})  # of this process and all its child processes
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        metrics = "" if options.processes else f"127.0.0.1:{free_port()}"
        served = server(Path(folder), processes=options.processes, metrics=metrics, core=core)
        target, pids = stack.enter_context(served)
        url, pid = stack.enter_context(inspector(target, metrics))
        pids["inspector"] = pid
        rows = asyncio.run(measure(target, url, pids, seconds=options.seconds, rounds=options.rounds))
    result = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "server": "three processes" if options.processes else "one process" + ", a core of its own" * options.apart,
        "episodes": EPISODES,
        "seconds_per_phase": options.seconds,
        "load_average_before": load,
        "load_average_after": os.getloadavg()[0],
        **cost(rows),
        "phases": rows,
    }
    print({key: value for key, value in result.items() if key != "phases"})
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
