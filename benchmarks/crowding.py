"""What one caller can do to another: `python -m benchmarks.crowding [--against CHECKOUT]`.

A bystander takes the steps of one episode in closed loop. Meanwhile nothing happens (`alone`), LISTERS clients list
EPISODES episodes, a page of all of them at a time and again at once (`listings`), or WAVE Acts of one step of one other
episode are sent together, every WAVE_EVERY seconds (`crowd`). Whoever is refused waits as long as the refusal says. The
server is one process; `--against` measures another checkout in turns with this one, each with a Redis of its own.

Bystander, attackers and servers share the machine: every kind of attacker is one process, whose own work counts in what
the bystander sees; so compare the two checkouts and not a row with `alone`. Rows: checkout, attack, p50_ms, p99_ms and
longest_ms (medians of the rounds), acts of the bystander, answered and refused calls of the attackers, in all rounds.
"""

import asyncio
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from shelm.v1 import agent_pb2
from tqdm import tqdm

from benchmarks.deployments import REPOSITORY, Deployment, record_frames, redis_server, standalone
from benchmarks.load_client import Images, batches, closed_loop
from benchmarks.report import options, table, write

LISTERS, EPISODES = 20, 1000
WAVE, WAVE_EVERY = 1500, 2.0  # seconds
SECONDS, WARM, ROUNDS = 8.0, 1.0, 5
QUICK_SECONDS, QUICK_ROUNDS = 3.0, 1
METHOD = "/shelm.v1.AgentService/"
Attack = Callable[[str, Images, float], dict[str, int]]


async def _call(channel: grpc.aio.Channel, method: str, message: bytes, told: Counter[str]) -> None:
    """One call with plain bytes, so that the attackers do no more than they must; waits where it is told to."""
    try:
        await channel.unary_unary(METHOD + method, None, None)(message, timeout=60)
        told["answered"] += 1
    except grpc.aio.AioRpcError as error:
        told["refused" if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED else error.code().name] += 1
        trailers: Any = error.trailing_metadata() or ()
        await asyncio.sleep(int(dict(trailers).get("grpc-retry-pushback-ms", 0)) / 1000)


def list_episodes(target: str, images: Images, seconds: float) -> dict[str, int]:
    """LISTERS clients with a connection each."""
    end, told = time.perf_counter() + seconds, Counter[str]()
    message = agent_pb2.ListEpisodesRequest(page_size=EPISODES).SerializeToString()

    async def lister(number: int) -> None:
        own = [("grpc.max_receive_message_length", -1), ("shelm.number", number)]  # so that no two share a connection
        async with grpc.aio.insecure_channel(target, own) as channel:
            while time.perf_counter() < end:
                await _call(channel, "ListEpisodes", message, told)

    async def run() -> None:
        await asyncio.gather(*(lister(number) for number in range(LISTERS)))

    asyncio.run(run())
    return dict(told)


def crowd(target: str, images: Images, seconds: float) -> dict[str, int]:
    """Waves of Acts of one step of one episode."""
    end, told = time.perf_counter() + seconds, Counter[str]()
    height, width, data = images[0]
    image = agent_pb2.Image(encoding=agent_pb2.ENCODING_RAW_RGB8, height=height, width=width, data=data)

    async def run() -> None:
        async with grpc.aio.insecure_channel(target) as channel:
            for step in range(10_000):
                began = time.perf_counter()
                if began >= end:
                    return
                request = agent_pb2.ActRequest(episode_id=f"crowd-{id(told)}-{step}", observation=image)
                message = request.SerializeToString()
                await asyncio.gather(*(_call(channel, "Act", message, told) for _ in range(WAVE)))
                await asyncio.sleep(began + WAVE_EVERY - time.perf_counter())

    asyncio.run(run())
    return dict(told)


def nobody(target: str, images: Images, seconds: float) -> dict[str, int]:
    """No attack."""
    return {}


ATTACKS: dict[str, Attack | None] = {"alone": None, "listings": list_episodes, "crowd": crowd}


def measure(
    pools: Sequence[ProcessPoolExecutor], deployment: Deployment, images: Images, attack: str, seconds: float
) -> dict[str, Any]:
    """One block of the bystander, seconds, with its attackers, which have a process of their own."""
    bystander, attackers = pools
    work = ATTACKS[attack] or nobody
    attackers.submit(nobody, "", [], 0).result()  # the process has started
    running = attackers.submit(work, deployment.target, images, seconds + WARM)
    load = bystander.submit(closed_loop, deployment.target, images, 1, seconds, WARM).result()
    told = running.result()
    ms = 1000 * np.asarray(load.latencies)
    times = {"p50_ms": np.median(ms), "p99_ms": np.quantile(ms, 0.99), "longest_ms": ms.max()}
    return {**{name: float(value) for name, value in times.items()}, "acts": len(ms), "attackers": told}


def summary(checkout: str, attack: str, blocks: list[dict[str, Any]]) -> dict[str, Any]:
    """One row from the blocks of all rounds."""
    told: Counter[str] = sum((Counter(one["attackers"]) for one in blocks), Counter())
    times = {name: round(statistics.median(one[name] for one in blocks), 2) for name in ("p50_ms", "p99_ms", "longest_ms")}
    acts = sum(one["acts"] for one in blocks)
    calls = {"answered": told.pop("answered", 0), "refused": told.pop("refused", 0), "failed": dict(told)}
    return {"checkout": checkout, "attack": attack, **times, "acts": acts, **calls}


def fill(deployment: Deployment, images: Images) -> None:
    """Begins the episodes that are listed."""
    for _ in range(EPISODES // 250):
        batches(deployment.target, images, 250, 1, True)


def main() -> None:
    """Runs the command."""
    parser = options(__doc__)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout of this repository")
    arguments = parser.parse_args()
    seconds = QUICK_SECONDS if arguments.quick else SECONDS
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    images = [(*frame.shape[:2], frame.tobytes()) for frame in record_frames(60)]
    checkouts = {"before": arguments.against.resolve()} if arguments.against else {}
    blocks: dict[tuple[str, str], list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        bystander, attackers = (stack.enter_context(ProcessPoolExecutor(1, get_context("spawn"))) for _ in range(2))
        ways = {}
        for name, checkout in {**checkouts, "now": REPOSITORY}.items():
            place = Path(folder) / name
            at = stack.enter_context(redis_server(place))
            ways[name] = stack.enter_context(standalone(place, at, {}, checkout=checkout, name=name))
            fill(ways[name], images)
        order = [(attack, name) for _ in range(rounds) for attack in ATTACKS for name in ways]
        for attack, name in tqdm(order, unit="block", disable=None):
            found = measure((bystander, attackers), ways[name], images, attack, seconds)
            blocks.setdefault((name, attack), []).append(found)
    rows = [summary(name, attack, found) for (name, attack), found in blocks.items()]
    print(table(rows))
    write({"seconds": seconds, "rounds": rounds, "rows": rows}, arguments.json)


if __name__ == "__main__":
    main()
