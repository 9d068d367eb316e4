"""More Acts than can be served: closed loop of many episodes, with a limit on the Acts under way and with the default one.

Failure policy: what goes wrong is in the row; `violations` names it.
"""

import asyncio
import itertools
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

from benchmarks.deployments import Deployment
from benchmarks.endurance.caller import Caller, Tally
from benchmarks.endurance.watch import Watch, growing, trends
from benchmarks.figures import percentiles_ms
from benchmarks.load_client import Images

EPISODES, LIMIT = 512, 128
Row = dict[str, Any]


def run(deployment: Deployment, redis_url: str, images: Images, *, episodes: int, seconds: float, warm: float) -> Row:
    """Returns the row of one limit."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool, Watch(deployment.pids, redis_url) as watch:
        before = deployment.cpu_seconds()
        tally, took = pool.submit(closed_loop, deployment.target, images, episodes, seconds, warm).result()
        cpu = {name: round(used - before[name], 1) for name, used in deployment.cpu_seconds().items()}
    found = trends(watch.series)
    return {
        **row(tally, episodes, took),
        "cpu_seconds": cpu,
        "ended_processes": watch.ended,
        "trends": found,
        "growing": growing(watch.series),
        "series": {**watch.series, "load": by_second(tally)},
    }


def closed_loop(target: str, images: Images, episodes: int, seconds: float, warm: float) -> tuple[Tally, float]:
    """The clients, in a process of their own: each episode takes its next step as soon as the last one is answered."""
    return asyncio.run(_closed_loop(target, images, episodes, seconds, warm))


async def _closed_loop(target: str, images: Images, episodes: int, seconds: float, warm: float) -> tuple[Tally, float]:
    begin = time.perf_counter() + warm
    caller, end = Caller(target, images, warm=begin), begin + seconds

    async def episode(number: int) -> None:
        step = 0
        while time.perf_counter() < end:
            step += await caller.act(f"{caller.run}-{number}", step, number + step) is not None

    await asyncio.gather(*(episode(number) for number in range(episodes)))
    took = time.perf_counter() - begin
    await caller.close()
    caller.tally.answered_at = [at - begin for at in caller.tally.answered_at]
    return caller.tally, took


def row(tally: Tally, episodes: int, took: float) -> Row:
    """Returns the figures of a tally. `refused_share`: of the Acts, those that were refused at least once."""
    acts = len(tally.accepted)
    began = acts + sum(tally.failed.values())
    return {
        "episodes": episodes,
        "seconds": round(took, 1),
        "acts": acts,
        "rate": round(acts / took, 1),
        "accepted": {**percentiles_ms(tally.accepted), "longest_ms": round(1000 * max(tally.accepted, default=0.0), 1)},
        "in_policy": percentiles_ms(tally.in_policy),
        "with_waiting": {**percentiles_ms(tally.whole), "longest_ms": round(1000 * max(tally.whole, default=0.0), 1)},
        "refused_share": round(len(tally.waits) / max(1, began), 4),
        "refused": tally.refused,
        "recovered": tally.recovered,
        "refusals": tally.refusals,
        "refusals_with_advice": tally.advised,
        "retried_otherwise": dict(tally.others),
        "failed": dict(tally.failed),
    }


def by_second(tally: Tally) -> dict[str, list[float]]:
    """Returns, for every second that was answered in whole, Acts and their p99."""
    at, took = np.asarray(tally.answered_at), np.asarray(tally.accepted)
    order = np.argsort(at)
    at, took = at[order], took[order]
    edges = np.searchsorted(at, np.arange(int(at[-1]) + 1)) if at.size else np.zeros(0, int)
    parts = [took[a:b] for a, b in itertools.pairwise(edges)]
    p99 = [round(1000 * float(np.percentile(part, 99)), 1) if part.size else 0.0 for part in parts]
    return {"rate": [float(part.size) for part in parts], "p99_ms": p99}


def violations(found: Row) -> list[str]:
    """Returns what must not be and is."""
    wrong = [f"{count} Acts failed with {kind}" for kind, count in found["failed"].items()]
    wrong += [f"{name} ended" for name in found["ended_processes"]]
    wrong += [f"{found['refused'] - found['recovered']} refused Acts did not succeed"] * (
        found["refused"] != found["recovered"]
    )
    wrong += ["refusals without advice"] * (found["refusals"] != found["refusals_with_advice"])
    return [*wrong, *found["growing"]]
