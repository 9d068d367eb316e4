"""How much the services bear: `python -m benchmarks.load [--json FILE] [--quick] [--against DIR]
[--deployments NAME...]`.

Deployments (three processes, one process; with `--deployments triton` three processes with all models in a Triton, against
those that reach the models through retrieval and memory; with `--against DIR` the first two from another checkout) take
turns in every case. Constant: the default agent, the frames of one recorded walk, whose words are cached after the warm-up,
greedy actions, one Redis with `appendfsync always`. The clients are processes of their own on the same machine; their CPU
time is stated, as is that of each service.

`closed`: 1 to 512 episodes, each taking its next step as soon as the last one is answered; percentiles of the latency, Acts
per second, mean batch of every queue, refused Acts, CPU milliseconds per Act of every process. `open`: Acts that arrive
by chance (Poisson) at a rate that grows from a quarter of the closed loop's best by a quarter each time, until less than
90 % are answered in time or one is refused; latency counts from the planned arrival. `batches`: 64 episodes that advance
together, with one ActBatch a step, and with 64 Acts at once; `same` says whether words and actions were equal. `against`:
the median over the rounds of our rate / that of the other checkout or way.

A full run takes about 25 minutes, with `--against` twice that.
"""

import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm

from agent.frame import Frame
from benchmarks import load_client
from benchmarks.deployments import Deployment, behind_triton, record_frames, redis_server, standalone, three_processes
from benchmarks.figures import mean_batches, medians, paired_ratio, percentiles_ms, poisson_arrivals, saturated
from benchmarks.load_client import Images, Load
from benchmarks.report import options, spread, table, write

WALK, TOGETHER = 60, 64
DEPLOYMENTS = ("processes", "standalone", "triton")
Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """How long everything takes. seconds: of a phase, after `warm` seconds that do not count."""

    episodes: tuple[int, ...] = (1, 4, 16, 64, 256, 512)
    rounds: int = 3
    seconds: float = 8.0
    warm: float = 2.0
    batches: int = 30  # steps of each round
    rates: int = 14  # at most


QUICK = Plan(episodes=(1, 16, 64), rounds=1, seconds=1.5, warm=0.5, batches=5, rates=2)


class Clients:
    """Client processes, between which the episodes are divided."""

    def __init__(self, frames: Sequence[Frame], processes: int) -> None:
        self._pool = ProcessPoolExecutor(processes, get_context("spawn"))
        self._count = processes
        self.images: Images = [(frame.shape[0], frame.shape[1], frame.tobytes()) for frame in frames]

    def closed(self, target: str, episodes: int, plan: Plan) -> Load:
        """Runs a closed loop; see load_client."""
        shares = [len(range(i, episodes, self._count)) for i in range(self._count)]
        work = (target, self.images)
        running = [
            self._pool.submit(load_client.closed_loop, *work, share, plan.seconds, plan.warm) for share in shares if share
        ]
        return _joined([one.result() for one in running])

    def open(self, target: str, arrivals: Sequence[float]) -> Load:
        """Runs an open loop; see load_client."""
        shares = [arrivals[i :: self._count] for i in range(self._count)]
        running = [self._pool.submit(load_client.open_loop, target, self.images, share) for share in shares if share]
        return _joined([one.result() for one in running])

    def batches(self, target: str, rounds: int, whole: bool) -> Load:
        """Runs episodes that advance together; see load_client."""
        return self._pool.submit(load_client.batches, target, self.images, TOGETHER, rounds, whole).result()

    def close(self) -> None:
        """Ends the processes."""
        self._pool.shutdown()


def _joined(loads: Sequence[Load]) -> Load:
    failed: dict[str, int] = {}
    for load in loads:
        for status, count in load.failed.items():
            failed[status] = failed.get(status, 0) + count
    return Load(
        latencies=[one for load in loads for one in load.latencies],
        seconds=max(load.seconds for load in loads),
        failed=failed,
        cpu_seconds=sum(load.cpu_seconds for load in loads),
        acts=sum(load.acts for load in loads),
    )


def phase(deployment: Deployment, work: Callable[[], Load]) -> Row:
    """Runs one phase; returns its figures. CPU time, and the Acts that it is divided by, include the warm-up."""
    batches, cpu = deployment.batches(), deployment.cpu_seconds()
    load = work()
    after = deployment.cpu_seconds()
    acts = max(1, load.acts)
    used = {name: after[name] - cpu[name] for name in after}
    return {
        **percentiles_ms(load.latencies),
        "acts": len(load.latencies),
        "rate": round(len(load.latencies) / load.seconds, 2),
        "refused": sum(load.failed.values()),
        "failed": load.failed,
        "mean_batch": mean_batches(batches, deployment.batches()),
        "cpu_ms_per_act": {name: round(1000 * one / acts, 3) for name, one in {**used, "client": load.cpu_seconds}.items()},
    }


def closed(deployments: Sequence[Deployment], clients: Clients, plan: Plan, bar: Any) -> Iterator[Row]:
    """Measures every number of episodes with every deployment, in turns; yields the rounds."""
    for one in deployments:
        clients.closed(one.target, 4, replace(plan, seconds=1.0))  # caches, connections
    for number in range(plan.rounds):
        for episodes in plan.episodes:
            for one in deployments:
                found = phase(one, partial(clients.closed, one.target, episodes, plan))
                yield {"deployment": one.name, "episodes": episodes, "round": number, **found}
                bar.update()


def opened(deployments: Sequence[Deployment], clients: Clients, plan: Plan, best: float, bar: Any) -> Iterator[Row]:
    """Raises the rate until every deployment is saturated, in turns; best: Acts per second of a closed loop."""
    rate, waiting = best / 4, list(deployments)
    for number in range(plan.rates):
        arrivals = poisson_arrivals(rate, plan.seconds, seed=number)
        for one in list(waiting):
            found = phase(one, partial(clients.open, one.target, arrivals))
            offered = len(arrivals) / plan.seconds
            yield {"deployment": one.name, "offered": round(offered, 2), **found}
            if saturated(offered, found["rate"], found["refused"]):
                waiting.remove(one)
            bar.update()
        rate *= 1.25


def together(deployments: Sequence[Deployment], clients: Clients, plan: Plan, bar: Any) -> Iterator[Row]:
    """Compares one ActBatch with as many Acts at once, in turns."""
    for one in deployments:
        rates: dict[str, list[float]] = {"single": [], "batch": []}
        same = True
        for _ in range(1 + plan.rounds):
            loads = {name: clients.batches(one.target, plan.batches, name == "batch") for name in rates}
            for name, load in loads.items():
                rates[name].append(TOGETHER * plan.batches / load.seconds)
            same = same and loads["single"].answers == loads["batch"].answers
        single, batch = rates["single"][1:], rates["batch"][1:]
        yield {
            "deployment": one.name,
            "episodes": TOGETHER,
            "single_rate": statistics.median(single),
            "batch_rate": statistics.median(batch),
            "ratio": paired_ratio(batch, single),
            "same": same,
            "spread": {"single_rate": spread(single), "batch_rate": spread(batch)},
        }
        bar.update()


def summary(rows: Sequence[Row]) -> list[Row]:
    """Returns the medians of the closed loop's rounds."""
    cases = list(dict.fromkeys((row["deployment"], row["episodes"]) for row in rows))
    found = []
    for name, episodes in cases:
        own = [row for row in rows if (row["deployment"], row["episodes"]) == (name, episodes)]
        keys = ("rate", "p50_ms", "p95_ms", "p99_ms", "refused")
        found.append({"deployment": name, "episodes": episodes, **medians([{key: row[key] for key in keys} for row in own])})
    return found


def ratios(rows: Sequence[Row], other: str) -> list[Row]:
    """Returns how many times the rate of the other way ours is, by deployment and number of episodes."""
    rates: dict[tuple[str, int], list[float]] = {}
    for row in rows:
        rates.setdefault((row["deployment"], row["episodes"]), []).append(row["rate"])
    return [
        {"deployment": name, "episodes": episodes, "ratio": paired_ratio(ours, rates[f"{name} {other}", episodes])}
        for (name, episodes), ours in rates.items()
        if (f"{name} {other}", episodes) in rates
    ]


def _ways(name: str, checkout: Path | None) -> list[Callable[..., AbstractContextManager[Deployment]]]:
    """What starts a deployment, and what starts the one that it is compared with."""
    if name == "triton":
        return [behind_triton, partial(behind_triton, models="parts", name="behind triton against")]
    start = three_processes if name == "processes" else standalone
    there = [partial(start, checkout=checkout.resolve(), name=f"{name} against")] if checkout else []
    return [start, *there]


def main() -> None:
    """Runs the command."""
    parser = options(__doc__)
    parser.add_argument("--against", type=Path, metavar="DIR", help="another checkout of this repository")
    parser.add_argument(
        "--deployments", nargs="+", choices=DEPLOYMENTS, default=DEPLOYMENTS[:2], help="triton needs `make triton-setup`"
    )
    parser.add_argument("--dtype", help="SHELM_DTYPE; default: that of each checkout")
    parser.add_argument("--episodes", type=int, nargs="*", help="of the closed loop")
    parser.add_argument("--seconds", type=float, help="of a phase")
    parser.add_argument("--rates", type=int, help="of the open loop, at most")
    parser.add_argument("--processes", type=int, default=1, help="client processes")
    chosen = parser.parse_args()
    plan = QUICK if chosen.quick else Plan()
    plan = replace(plan, rounds=chosen.rounds or plan.rounds, episodes=tuple(chosen.episodes or plan.episodes))
    plan = replace(plan, seconds=chosen.seconds or plan.seconds, rates=plan.rates if chosen.rates is None else chosen.rates)
    settings = {"SHELM_DTYPE": chosen.dtype} if chosen.dtype else {}
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        redis_at = running.enter_context(redis_server(folder))
        starts = [one for name in chosen.deployments for one in _ways(name, chosen.against)]
        deployments = [running.enter_context(start(folder, redis_at, settings)) for start in starts]
        clients = Clients(record_frames(WALK), chosen.processes)
        running.callback(clients.close)
        result = measure(deployments, clients, plan, chosen.json)
    print(table(result["closed"]))
    shown = ("deployment", "offered", "rate", "p50_ms", "p99_ms", "refused")
    print(table({key: row[key] for key in shown} for row in result["open"]))
    print(table({key: value for key, value in row.items() if key != "spread"} for row in result["batches"]))
    print(table(result["against"]))


def measure(deployments: Sequence[Deployment], clients: Clients, plan: Plan, path: Path | None) -> dict[str, Any]:
    """Runs all parts; writes the file after each."""
    cases = len(deployments) * (plan.rounds * len(plan.episodes) + plan.rates + 1)
    result: dict[str, Any] = {"closed": [], "open": [], "batches": [], "against": [], "rounds": []}
    with tqdm(total=cases, unit="phase") as bar:
        result["rounds"] = list(closed(deployments, clients, plan, bar))
        result["closed"], result["against"] = summary(result["rounds"]), ratios(result["rounds"], "against")
        write(result, path)
        result["batches"] = list(together(deployments, clients, plan, bar))
        best = max(row["rate"] for row in result["closed"])
        for row in opened(deployments, clients, plan, best, bar):
            result["open"].append(row)
            write(result, path)
    return result


if __name__ == "__main__":
    main()
