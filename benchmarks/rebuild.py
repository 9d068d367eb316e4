"""What it costs to lose all memory slots: `python -m benchmarks.rebuild [--json FILE] [--quick]`.

Episodes of 10 to 10,000 steps are written to Redis as the services would have committed them, with random words. All slots
are then dropped (Forget), and one episode, or 64 at once, take their next step: `first_ms` is the time until the last
of them has its action. `step_ms` is the median of the steps that follow, one at a time, without a rebuild; `steps_time` =
first_ms / step_ms. Medians of the rounds, in which all lengths take turns; frames are cached.

Meanwhile eight other episodes, whose slots are not dropped, act without a pause: `others_p99_ms` while states are rebuilt,
`others_alone_p99_ms` while nothing is. A separate round, so that they do not disturb the times above.

Bundles: `shipped`, and `paper` (18 layers, window 511) with one length and one episode. Steps beyond an agent's reach need
not be read: its column is `reach`. A full run takes about 15 minutes.
"""

import asyncio
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import redis
from shelm import AsyncClient
from tqdm import tqdm

from agent.bundle import AgentBundle, load_bundle
from agent.frame import Frame
from agent.history import empty_history, extend_history, history_reach
from agent.vocabulary import Word, load_vocabulary
from benchmarks import load_client
from benchmarks.bundles import paper_bundle, small_paper_bundle
from benchmarks.deployments import BUNDLE, REPOSITORY, Deployment, record_frames, redis_server, three_processes
from benchmarks.figures import percentiles_ms
from benchmarks.report import options, spread, table, write
from services.protocol.steps import stored_step
from services.protocol.stubs import memory_pb2, memory_pb2_grpc
from services.protocol.values import CommittedStep
from services.store.keys import STEP_FIELD, entry_id, episode_key, history_key

LENGTHS, AT_ONCE, ROUNDS, AFTER = (10, 100, 1000, 10_000), (1, 64), 5, 20
QUICK_LENGTHS, QUICK_AT_ONCE, QUICK_ROUNDS = (10, 100), (1, 4), 2
OTHERS, OTHERS_SECONDS = 8, 10.0
PAPER_LENGTH, TIMEOUT = 1000, 300.0
Row = dict[str, Any]


def write_episode(url: str, bundle: AgentBundle, name: str, steps: int, seed: int) -> None:
    """Stores an episode of `steps` steps, as the services would have committed them."""
    vocabulary, draws = load_vocabulary(bundle), np.random.default_rng(seed)
    k, digest = bundle.manifest.retrieval.k, empty_history(bundle.digest)
    now = time.time_ns() // 1000
    with redis.Redis.from_url(url) as client, client.pipeline(transaction=False) as pipe:
        for step in range(steps):
            drawn: list[int] = draws.integers(0, len(vocabulary), k).tolist()
            digest = extend_history(digest, drawn)
            words = tuple(Word(row, vocabulary.words[row], 0.5) for row in drawn)
            record = CommittedStep(
                words=words,
                action=0,
                value=0.0,
                log_prob=0.0,
                frame_fingerprint=b"\0" * 16,
                history_digest=digest,
                time_us=now,
            )
            pipe.xadd(history_key(name), {STEP_FIELD: stored_step(record)}, id=entry_id(step))
            if step % 1000 == 999:
                pipe.execute()
        known = {"agent": bundle.name, "agent_digest": bundle.digest, "seed": 1, "deterministic": 1, "history": digest}
        counts = {"committed": steps - 1, "length": steps * k, "ended": 0, "created_us": now, "updated_us": now}
        pipe.hset(episode_key(name), mapping={**known, **counts})
        for key in (history_key(name), episode_key(name)):
            pipe.expire(key, 86400)
        pipe.execute()


class Lost:
    """Stored episodes and the calls that lose their slots."""

    def __init__(self, deployment: Deployment, frames: Sequence[Frame]) -> None:
        self._memory = deployment.memory_target
        self._frames, self._target = frames, deployment.target

    def forget(self, names: Sequence[str]) -> None:
        """Drops the slots of episodes."""
        with grpc.insecure_channel(self._memory) as channel:
            memory_pb2_grpc.MemoryServiceStub(channel).Forget(memory_pb2.ForgetRequest(episode_ids=names))

    async def round(self, names: Sequence[str], after: int) -> tuple[float, list[float]]:
        """Returns seconds until every episode has its first action, and those of the steps that follow in the first one."""
        async with AsyncClient(self._target, timeout=TIMEOUT, retry_for=TIMEOUT) as client:
            for name in names:
                await client.resume(name)
            await asyncio.to_thread(self.forget, names)
            started = time.perf_counter()
            answers = await asyncio.gather(*(client.act(self._frames[0], name) for name in names))
            first = time.perf_counter() - started
            if not all(one.memory.rebuilt for one in answers):
                raise RuntimeError("a state was not rebuilt, so nothing was measured")
            later = []
            for i in range(after):
                began = time.perf_counter()
                await client.act(self._frames[i % len(self._frames)], names[0])
                later.append(time.perf_counter() - began)
        return first, later


def measure(
    bundle: AgentBundle,
    settings: dict[str, str],
    *,
    lengths: Sequence[int],
    counts: Sequence[int],
    rounds: int,
    seconds: float,
) -> Iterator[Row]:
    """Yields a row for every length and number of episodes."""
    frames = record_frames(OTHERS)
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        url, pid = running.enter_context(redis_server(folder))
        deployment = running.enter_context(three_processes(folder, (url, pid), settings))
        lost, cases = Lost(deployment, frames), [(length, count) for length in lengths for count in counts]
        names = {case: stored(url, bundle, *case) for case in tqdm(cases, desc="episodes", unit="case")}
        asyncio.run(lost.round(names[cases[0]], len(frames)))  # caches, connections
        first: dict[Any, list[float]] = {case: [] for case in cases}
        step: dict[Any, list[float]] = {case: [] for case in cases}
        for case in tqdm(cases * rounds, desc=bundle.name, unit="rebuild"):
            seen, later = asyncio.run(lost.round(names[case], AFTER))
            first[case].append(1000 * seen)
            step[case].append(1000 * statistics.median(later))
        pool = running.enter_context(ProcessPoolExecutor(1, get_context("spawn")))
        others = Others(pool, deployment.target, frames, seconds)
        others.p99(lambda: None)  # starts the process
        alone = others.p99(lambda: None)
        for case in tqdm(cases, desc=f"{bundle.name}, others", unit="case"):
            meanwhile = others.p99(lambda case=case: asyncio.run(lost.round(names[case], 0)))
            yield row(bundle, case, first[case], step[case], {"others_alone_p99_ms": alone, "others_p99_ms": meanwhile})


class Others:
    """Episodes that act meanwhile, in a process of their own."""

    def __init__(self, pool: ProcessPoolExecutor, target: str, frames: Sequence[Frame], seconds: float) -> None:
        self._pool, self._target, self._seconds = pool, target, seconds
        self._images = [(frame.shape[0], frame.shape[1], frame.tobytes()) for frame in frames]

    def p99(self, work: Any) -> float:
        """Returns their p99 in milliseconds while `work` is done again and again."""
        arguments = (self._target, self._images, OTHERS, self._seconds, 1.0)
        running: Future[load_client.Load] = self._pool.submit(load_client.closed_loop, *arguments)
        time.sleep(1.0)
        while not running.done():
            work()
            time.sleep(0.05)
        return percentiles_ms(running.result().latencies)["p99_ms"]


def stored(url: str, bundle: AgentBundle, length: int, count: int) -> list[str]:
    """Writes `count` episodes of `length` steps; returns their names."""
    names = [f"rebuild-{uuid.uuid4().hex}" for _ in range(count)]
    for seed, name in enumerate(names):
        write_episode(url, bundle, name, length, seed)
    return names


def row(
    bundle: AgentBundle, case: tuple[int, int], first: Sequence[float], step: Sequence[float], others: dict[str, float]
) -> Row:
    """Returns the figures of a case; first and step: milliseconds by round."""
    part = bundle.manifest.memory
    return {
        "bundle": bundle.name,
        "steps": case[0],
        "episodes": case[1],
        "reach": -(-history_reach(part.layers, part.window) // bundle.manifest.retrieval.k),
        "first_ms": statistics.median(first),
        "step_ms": statistics.median(step),
        "steps_time": statistics.median(a / b for a, b in zip(first, step, strict=True)),
        **others,
        "spread": {"first_ms": spread(first), "step_ms": spread(step)},
    }


def main() -> None:
    """Runs the command."""
    parser = options(__doc__)
    parser.add_argument("--dtype", default="auto", help="SHELM_DTYPE")
    parser.add_argument("--bundles", nargs="*", default=["shipped", "paper"])
    parser.add_argument("--lengths", type=int, nargs="*", help="of the shipped agent's episodes, in steps")
    chosen = parser.parse_args()
    quick, rows = chosen.quick, list[Row]()
    lengths, counts, rounds, seconds = (
        (QUICK_LENGTHS, QUICK_AT_ONCE, QUICK_ROUNDS, 2.0) if quick else (LENGTHS, AT_ONCE, ROUNDS, OTHERS_SECONDS)
    )
    rounds, lengths = chosen.rounds or rounds, chosen.lengths or lengths
    with tempfile.TemporaryDirectory() as folder:
        paper = (small_paper_bundle if quick else paper_bundle)(Path(folder))
        whole: dict[str, Any] = {"lengths": lengths, "counts": counts, "rounds": rounds, "seconds": seconds}
        one = {**whole, "lengths": (100 if quick else PAPER_LENGTH,), "counts": (1,), "rounds": min(rounds, 3)}
        cases = {"shipped": (load_bundle(REPOSITORY / BUNDLE), whole), "paper": (paper, one)}
        for bundle, case in (cases[name] for name in chosen.bundles):
            settings = {"SHELM_DTYPE": chosen.dtype, "SHELM_AGENTS": str(bundle.folder)}
            for found in measure(bundle, settings, **case):
                rows.append(found)
                write({"dtype": chosen.dtype, "rows": rows}, chosen.json)
    print(table({key: value for key, value in found.items() if key != "spread"} for found in rows))


if __name__ == "__main__":
    main()
