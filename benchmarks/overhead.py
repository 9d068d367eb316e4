"""An Act through the services against the same computation in one process: `python -m benchmarks.overhead`.

One episode acts through three processes, through one process, and in this process, where the engines are called directly
(benchmarks.local_agent): no network, no commit, no other episode. All have the same bundle, frames, number format and
threads, and take turns, a block of steps each; a block of the warm-up does not count. `ratio` is the median over the rounds
of the p50 of the served block / the p50 of the block in this process.

Bundles: `tiny` (models that cost nothing: the path alone), `shipped` (the default agent), `paper` (random weights of the
paper's sizes). Frames: `cached`, a recorded walk whose words are cached everywhere, or `unique`, noise of which no two
frames are the same.

`stages` are medians in milliseconds, and `shares` their shares of the served p50. decode, retrieval, memory, policy and
commit are those of the reply's timing; retrieval and memory contain the waits in their queues and, between processes, the
calls. queue: the rest of the server's own time (admission, the episode's turn, tasks that wait for the event loop). wire:
what the client saw beyond the server's time. Rows: bundle, frames, deployment, served_p50_ms, in_process_p50_ms, ratio.

A full run takes about ten minutes, most of it for the paper's sizes.
"""

import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from shelm import Client
from shelm.results import Act
from tqdm import tqdm

from agent.bundle import AgentBundle, load_bundle
from agent.frame import Frame
from benchmarks.bundles import noise, paper_bundle, small_paper_bundle, tiny_bundle
from benchmarks.deployments import BUNDLE, REPOSITORY, record_frames, redis_server, standalone, three_processes
from benchmarks.figures import paired_ratio
from benchmarks.local_agent import LocalAgent
from benchmarks.report import options, spread, table, write

STAGES = ("decode", "retrieval", "memory", "policy", "commit")
STEPS, PAPER_STEPS, ROUNDS = 100, 15, 7
QUICK_STEPS, QUICK_ROUNDS = 15, 2
WALK = 60


def stages_ms(seen_ms: float, act: Act) -> dict[str, float]:
    """Splits the time that the client saw into stages, in milliseconds; what no stage explains is queue and wire."""
    assert act.timing is not None
    found = {name: getattr(act.timing, f"{name}_us") / 1000 for name in STAGES}
    total = act.timing.total_us / 1000
    return {**found, "queue": max(0.0, total - sum(found.values())), "wire": max(0.0, seen_ms - total)}


class Blocks:
    """The steps of one way: the p50 of each block, in milliseconds, and the stages of every step."""

    def __init__(self) -> None:
        self.p50: list[float] = []
        self.stages: list[dict[str, float]] = []


def serve(client: Client, episode: str, frames: Sequence[Frame], into: Blocks) -> None:
    """Takes a block of steps in a running episode."""
    seen = []
    for frame in frames:
        started = time.perf_counter()
        act = client.act(frame, episode, deterministic=True)
        seen.append(1000 * (time.perf_counter() - started))
        into.stages.append(stages_ms(seen[-1], act))
    into.p50.append(statistics.median(seen))


def compute(agent: LocalAgent, episode: str, frames: Sequence[Frame], into: Blocks) -> None:
    """Does the same in this process."""
    seen = []
    for frame in frames:
        started = time.perf_counter()
        agent.act([episode], [frame])
        seen.append(1000 * (time.perf_counter() - started))
    into.p50.append(statistics.median(seen))


def measure(bundle: AgentBundle, kinds: dict[str, Iterator[list[Frame]]], rounds: int, settings: dict[str, str]) -> Any:
    """Yields a row for each kind of frames and each deployment. kinds: what gives the frames of the next block."""
    agent = LocalAgent(bundle, dtype=settings["SHELM_DTYPE"])
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        redis_at = running.enter_context(redis_server(folder))
        starts = (three_processes, standalone)
        served = [running.enter_context(start(folder, redis_at, settings)) for start in starts]
        clients = {one.name: running.enter_context(Client(one.target, timeout=60)) for one in served}
        for kind, blocks in kinds.items():
            episode = f"bench-{uuid.uuid4().hex}"
            ways = {name: Blocks() for name in (*clients, "in process")}
            for _ in tqdm(range(1 + rounds), desc=f"{bundle.name}, {kind} frames", unit="round"):
                frames = next(blocks)
                for name, client in clients.items():
                    serve(client, f"{episode}-{name}", frames, ways[name])
                compute(agent, episode, frames, ways["in process"])
            here = ways["in process"]
            yield from (row(bundle.name, kind, name, served=ways[name], here=here, block=len(frames)) for name in clients)


def row(bundle: str, kind: str, name: str, *, served: Blocks, here: Blocks, block: int) -> dict[str, Any]:
    """Returns the figures of one deployment, without the warm-up, a block of `block` steps."""
    p50, own, taken = served.p50[1:], here.p50[1:], served.stages[block:]
    stages = {stage: statistics.median(one[stage] for one in taken) for stage in taken[0]}
    return {
        "bundle": bundle,
        "frames": kind,
        "deployment": name,
        "served_p50_ms": statistics.median(p50),
        "in_process_p50_ms": statistics.median(own),
        "ratio": paired_ratio(p50, own),
        "stages": {stage: round(value, 3) for stage, value in stages.items()},
        "shares": {stage: round(value / statistics.median(p50), 3) for stage, value in stages.items()},
        "spread": {"served_p50_ms": spread(p50), "in_process_p50_ms": spread(own)},
    }


def cached(steps: int) -> Iterator[list[Frame]]:
    """Yields blocks of one walk that begins again and again; the first block holds all its frames."""
    walk = record_frames(WALK)
    yield walk + [walk[i % WALK] for i in range(steps - WALK)] if steps > WALK else walk[:steps]
    while True:
        yield [walk[i % WALK] for i in range(steps)]


def unique(steps: int) -> Iterator[list[Frame]]:
    """Yields blocks of noise."""
    seed = 0
    while True:
        yield noise(steps, seed)
        seed += 1


def main() -> None:
    """Runs the command."""
    parser = options(__doc__)
    parser.add_argument("--dtype", default="auto", help="SHELM_DTYPE, for all ways")
    parser.add_argument("--threads", type=int, default=1, help="threads of a forward, in every process")
    parser.add_argument("--bundles", nargs="*", default=["tiny", "shipped", "paper"])
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    rounds = chosen.rounds or (QUICK_ROUNDS if chosen.quick else ROUNDS)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen.bundles:
            bundle = make(name, Path(folder), quick=chosen.quick)
            steps = (4 if name == "paper" else QUICK_STEPS) if chosen.quick else PAPER_STEPS if name == "paper" else STEPS
            kinds = {"cached": cached(steps), "unique": unique(steps)}
            threads = {"SHELM_DTYPE": chosen.dtype, "SHELM_TORCH_THREADS": str(chosen.threads)}
            settings = {**threads, "SHELM_AGENTS": str(bundle.folder.absolute())}
            for found in measure(bundle, kinds, rounds, settings):
                rows.append({**found, "bundle": name})
                write({"dtype": chosen.dtype, "threads": chosen.threads, "rows": rows}, chosen.json)
    print(table({k: v for k, v in one.items() if k not in ("stages", "shares", "spread")} for one in rows))
    for one in rows:
        print(one["bundle"], one["frames"], one["deployment"], one["stages"])


def make(name: str, folder: Path, *, quick: bool) -> AgentBundle:
    """Returns the bundle of a name; a quick run has fewer layers and a shorter window at the paper's widths."""
    if name == "tiny":
        return tiny_bundle(folder / name)
    if name == "paper":
        return small_paper_bundle(folder / name) if quick else paper_bundle(folder / name)
    return load_bundle(REPOSITORY / BUNDLE)


if __name__ == "__main__":
    main()
