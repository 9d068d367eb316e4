"""`make soak`: many episodes while processes are killed, silenced and stopped at random; every step is compared afterwards.

A reference run comes first: every plan is played once, undisturbed. Then the same plans are played again and again, each
episode under a name of its own, while every `--every` seconds something is done to one process of the stack: SIGKILL mostly,
or SIGSTOP for a while, or SIGTERM. When the time is over the running episodes are played to their end. Of each episode every
step is compared, as the client got it and as the server remembers it, with the reference.

With `--cluster` the episodes are in a Redis Cluster of three primaries, each with a replica. Its nodes are attacked as well,
and come back with their data; it is counted how often a replica took over.

Result: one JSON object with counts, and nothing lost, doubled or different, or exit status 1. It ends by itself.
"""

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import grpc
import numpy as np
import psutil  # type: ignore[import-untyped]
from faults_cluster import RestartedCluster, clustered
from faults_episodes import CLOSE, Outcome, Plan, Player, plans, play_undisturbed
from faults_serve import MODELS, SERVICES, Serve, serving
from shelm import MemoryStep, ShelmError, transport
from shelm.status import error_from_call
from support.frames import collect_frames

from benchmarks import report

KINDS = {"kill": signal.SIGKILL, "silence": signal.SIGSTOP, "stop": signal.SIGTERM}
SILENCE = 1.0  # seconds that a stopped process says nothing
LONGEST = 600.0  # seconds for the episodes that are running at the end, and for one call


@dataclass
class Tally:
    """What has happened so far; threads add to it under the lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    episodes: int = 0
    failed: list[str] = field(default_factory=list)
    steps: int = 0
    replayed: int = 0
    rebuilt: int = 0
    lost: int = 0
    doubled: int = 0
    differing: int = 0
    seconds: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    attacks: Counter[str] = field(default_factory=Counter)
    resident_mb: list[float] = field(default_factory=list)


def compare(player: Player, expected: list[Outcome], tally: Tally) -> None:
    """Counts what differs between an episode as it was answered, as it is remembered, and as it should be."""
    remembered = list(player.client.memory(player.name))
    numbers = Counter(step.step for step in remembered)
    answered = zip(player.outcomes, expected, strict=True)
    kept = [matches(step, expected[step.step]) for step in remembered if step.step < len(expected)]
    with tally.lock:
        tally.episodes += 1
        tally.steps += len(player.outcomes)
        tally.replayed += sum(act.replayed for act in player.acts)
        tally.rebuilt += sum(act.memory.rebuilt for act in player.acts)
        tally.lost += len(set(range(len(expected))) - set(numbers))
        tally.doubled += sum(count - 1 for count in numbers.values()) + sum(step >= len(expected) for step in numbers)
        tally.differing += sum(not same(one, other) for one, other in answered) + kept.count(False)


def matches(step: MemoryStep, expected: Outcome) -> bool:
    """Whether a step is remembered as it should be."""
    return (tuple((token.id, token.text) for token in step.tokens), step.action) == (expected.words, expected.action)


def same(one: Outcome, other: Outcome) -> bool:
    """Words and actions exactly, numbers up to rounding."""
    close = bool(np.allclose(one.numbers, other.numbers, rtol=0, atol=CLOSE))
    return (one.words, one.action) == (other.words, other.action) and close


@contextmanager
def counted_errors(tally: Tally) -> Iterator[None]:
    """Counts every error that any attempt of the clients meets, by code and reason."""

    def counting(failure: grpc.RpcError, *, target: str) -> ShelmError:
        error = error_from_call(failure, target=target)
        with tally.lock:
            tally.errors[f"{error.code.name} {error.reason}".strip()] += 1
        return error

    with patch.object(transport, "error_from_call", counting):
        yield


def targets(serve: Serve, services: list[str], cluster: RestartedCluster | None) -> dict[str, Callable[[], int]]:
    """What may be attacked, and the process id that it has now (0: none). In a cluster "redis" means each of its nodes."""
    plain = [service for service in services if service in MODELS or not cluster]
    nodes = cluster.nodes if cluster and "redis" in services else []
    found: dict[str, Callable[[], int]] = {service: partial(serve.pid, service) for service in plain}
    return {**found, **{node: partial(cluster.pid, node) for node in nodes if cluster}}


def attack(pids: dict[str, Callable[[], int]], tally: Tally, draw: random.Random, kinds: list[str]) -> None:
    """Does something to one process that runs."""
    kind, service = draw.choice(kinds), draw.choice(list(pids))
    try:
        if not (pid := pids[service]()):
            raise psutil.NoSuchProcess(pid)
        process = psutil.Process(pid)
        process.send_signal(KINDS[kind])
        if kind == "silence":
            threading.Timer(SILENCE, lambda: resume(process)).start()
    except psutil.Error:
        kind = "found dead"
    tally.attacks[f"{kind} {service}"] += 1


def resume(process: psutil.Process) -> None:
    """Lets a process go on, if it is still there."""
    try:
        process.resume()
    except psutil.Error:
        return


def resident(serve: Serve) -> float:
    """Megabytes of the three services together."""
    total = 0
    for service in MODELS:
        try:
            total += psutil.Process(serve.pid(service)).memory_info().rss
        except psutil.Error:
            continue
    return round(total / 2**20, 1)


def play_for_ever(
    serve: Serve, number: int, plan: Plan, expected: list[Outcome], *, over: Callable[[], bool], tally: Tally
) -> None:
    """One episode after the other of one plan, until the time is over."""
    with serve.client(retry_for=LONGEST) as client:
        count = 0
        while not over():
            count += 1
            name = f"soak-{number}-{count}"
            try:
                player = Player(client, name, plan)
                while len(player.outcomes) < len(player.plan.frames):
                    began = time.monotonic()
                    player.act()
                    tally.seconds.append(time.monotonic() - began)
                compare(player, expected, tally)
                client.end_episode(name)
            except Exception as error:
                with tally.lock:
                    tally.failed.append(f"{name}: {type(error).__name__}: {error}"[:300])


def soak(arguments: argparse.Namespace, serve: Serve, cluster: RestartedCluster | None = None) -> dict[str, Any]:
    """The whole run."""
    draw, tally = random.Random(arguments.seed), Tally()
    pids = targets(serve, arguments.services, cluster)
    episodes = plans(collect_frames(96), arguments.episodes, arguments.steps)
    with serve.client(retry_for=30) as client:
        undisturbed = play_undisturbed(client, episodes, "reference")
    over, began = threading.Event(), time.monotonic()
    with counted_errors(tally), ThreadPoolExecutor(arguments.episodes) as threads:
        running = [
            threads.submit(play_for_ever, serve, i, plan, expected, over=over.is_set, tally=tally)
            for i, (plan, expected) in enumerate(zip(episodes, undisturbed, strict=True))
        ]
        try:
            while time.monotonic() - began < arguments.seconds and serve.alive:
                time.sleep(arguments.every)
                attack(pids, tally, draw, arguments.kinds)
                tally.resident_mb.append(resident(serve))
        finally:
            over.set()
        under_attack, answered = time.monotonic() - began, len(tally.seconds)
        unfinished = len(wait(running, LONGEST).not_done)
        tally.failed += [str(one.exception()) for one in running if one.done() and one.exception()]
    ending = time.monotonic() - began - under_attack
    times = {"under_attack": round(under_attack, 1), "until_all_had_ended": round(ending, 1)}
    found = result(arguments, tally, times, answered=answered, unfinished=unfinished)
    return {**found, "cluster": {"failovers": cluster.failovers(), "restarts": cluster.restarts}} if cluster else found


def result(
    arguments: argparse.Namespace, tally: Tally, times: dict[str, float], *, answered: int, unfinished: int
) -> dict[str, Any]:
    """What is kept."""
    named = ("seconds", "episodes", "steps", "every", "seed", "kinds", "services")
    settings = {name: getattr(arguments, name) for name in named}
    waits = np.percentile(tally.seconds or [0.0], [50, 95, 99, 100]).round(3).tolist()
    return {
        "settings": settings,
        "seconds": times,
        "attacks": dict(sorted(tally.attacks.items())),
        "episodes": {"ended": tally.episodes, "failed": len(tally.failed), "unfinished": unfinished},
        "failures": tally.failed[:20],
        "steps": {
            "committed": tally.steps,
            "answered_under_attack": answered,
            **{name: getattr(tally, name) for name in ("replayed", "rebuilt", "lost", "doubled", "differing")},
        },
        "errors_that_were_retried": dict(sorted(tally.errors.items())),
        "act_seconds": dict(zip(("p50", "p95", "p99", "max"), waits, strict=True)),
        "resident_mb": tally.resident_mb[:: max(1, len(tally.resident_mb) // 60)],
    }


def violations(found: dict[str, Any]) -> list[str]:
    """What must be zero and is not."""
    must = {**{name: found["steps"][name] for name in ("lost", "doubled", "differing")}, **found["episodes"]}
    ended = must.pop("ended")
    wrong = [f"{count} {name}" for name, count in must.items() if count] + ([] if ended else ["no episode ended"])
    return wrong + (["no replica took over"] if not found.get("cluster", {}).get("failovers", 1) else [])


def main() -> int:
    """Runs; 1 if anything was lost, doubled or different, or an episode failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=300.0, help="of attacks (%(default)s)")
    parser.add_argument("--episodes", type=int, default=64, help="at once (%(default)s)")
    parser.add_argument("--steps", type=int, default=48, help="of one episode (%(default)s)")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between attacks (%(default)s)")
    parser.add_argument("--kinds", nargs="+", default=["kill"], choices=KINDS, help="of attacks (%(default)s)")
    parser.add_argument("--services", nargs="+", default=list(SERVICES), choices=SERVICES, help="under attack (all)")
    parser.add_argument("--seed", type=int, default=0, help="of the attacks (%(default)s)")
    parser.add_argument("--cluster", action="store_true", help="a Redis Cluster instead of one Redis, with failovers")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here")
    arguments = parser.parse_args()
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="shelm-soak-")))
        cluster = running.enter_context(clustered(folder / "cluster", seed=arguments.seed)) if arguments.cluster else None
        serve = running.enter_context(serving(folder / "run", **(cluster.settings if cluster else {})))
        found = soak(arguments, serve, cluster)
    report.write(found, arguments.json)
    for name, value in found.items():
        print(f"{name}: {value}")
    wrong = violations(found)
    print("violations:", ", ".join(wrong) or "none")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
