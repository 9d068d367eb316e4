"""More episodes than memory slots: short random lives, so interleaved that slots are lost and states rebuilt.

Every answer is compared: the words and the greedy action of a step depend on the frames before it alone, so a walk that
was played undisturbed, in a slot that nobody took, says what they must be for every episode on that walk.

Failure policy: what goes wrong is in the row; `violations` names it.
"""

import asyncio
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from random import Random
from typing import Any

import grpc

from benchmarks.deployments import Deployment
from benchmarks.endurance.caller import Caller, Said, Tally, outcome
from benchmarks.endurance.overload import by_second
from benchmarks.endurance.watch import Watch, growing, trends
from benchmarks.figures import percentiles_ms
from benchmarks.load_client import Images
from services.protocol.stubs import memory_pb2, memory_pb2_grpc

EPISODES, SLOTS, ALIVE, AT_ONCE, LONGEST = 20_000, 256, 1024, 64, 6
STAY = 0.5  # chance that a client takes the next step of the same episode
ENDED = 0.5  # chance that an episode is ended, and not left behind in its slot
Row = dict[str, Any]


@dataclass
class Life:
    """An episode. walk: number of its first frame. steps: how many it will take."""

    name: str
    walk: int
    steps: int
    taken: int = 0


@dataclass
class Crowd:
    """The episodes: `total` of them, of which about `alive` have begun and not ended at any time."""

    total: int
    alive: int
    walks: int
    run: str
    chance: Random = field(default_factory=lambda: Random(0))
    resting: list[Life] = field(default_factory=list)
    begun: int = 0
    over: int = 0

    def draw(self) -> Life | None:
        """An episode that takes its next step now; None if there is none left."""
        if self.begun < self.total and self.begun - self.over < self.alive:
            self.begun += 1
            return Life(f"{self.run}-{self.begun}", self.chance.randrange(self.walks), self.chance.randint(1, LONGEST))
        if not self.resting:
            return None
        chosen = self.chance.randrange(len(self.resting))
        self.resting[chosen], self.resting[-1] = self.resting[-1], self.resting[chosen]
        return self.resting.pop()


@dataclass
class Found:
    """What the clients found."""

    tally: Tally
    seconds: float
    counts: Counter[str]


def run(deployment: Deployment, redis_url: str, images: Images, *, episodes: int, alive: int) -> Row:
    """Returns the row."""
    before = slot_counts(deployment.memory_target)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool, Watch(deployment.pids, redis_url) as watch:
        found = pool.submit(play, deployment.target, images, episodes, alive).result()
    after = slot_counts(deployment.memory_target)
    trend = trends(watch.series)
    acts = len(found.tally.accepted)
    return {
        "episodes": episodes,
        "alive": alive,
        "slots": after["slots"],
        "seconds": round(found.seconds, 1),
        "acts": acts,
        "rate": round(acts / found.seconds, 1),
        "accepted": percentiles_ms(found.tally.accepted),
        **{name: after[name] - before[name] for name in ("hits", "rebuilds", "evictions")},
        **{name: found.counts[name] for name in ("rebuilt", "ended", "left", "compared", "differing")},
        "retried": dict(found.tally.others),
        "failed": dict(found.tally.failed),
        "ended_processes": watch.ended,
        "trends": trend,
        "growing": growing(watch.series),
        "series": {**watch.series, "load": by_second(found.tally)},
    }


def slot_counts(target: str) -> dict[str, int]:
    """Returns what the memory service says of the slots of its only agent."""
    with grpc.insecure_channel(target) as channel:
        (stats,) = memory_pb2_grpc.MemoryServiceStub(channel).GetMemoryStats(memory_pb2.GetMemoryStatsRequest()).agents
    return {name: int(getattr(stats, name)) for name in ("slots", "used", "hits", "rebuilds", "evictions")}


def play(target: str, images: Images, episodes: int, alive: int) -> Found:
    """The clients, in a process of their own."""
    return asyncio.run(_play(target, images, episodes, alive))


async def _play(target: str, images: Images, episodes: int, alive: int) -> Found:
    caller = Caller(target, images)
    expected = await _undisturbed(caller)
    caller.tally = Tally()
    crowd, counts = Crowd(episodes, alive, len(images), caller.run), Counter[str]()
    began = time.perf_counter()
    await asyncio.gather(*(_client(caller, crowd, expected, counts) for _ in range(AT_ONCE)))
    seconds = time.perf_counter() - began
    await caller.close()
    caller.tally.answered_at = [at - began for at in caller.tally.answered_at]
    return Found(caller.tally, seconds, counts)


async def _undisturbed(caller: Caller) -> list[list[Said]]:
    """Returns words and actions of each walk's first LONGEST steps; there are fewer walks than slots."""

    async def walk(number: int) -> list[Said]:
        name = f"{caller.run}-walk-{number}"
        answers = [await caller.act(name, step, number + step) for step in range(LONGEST)]
        await caller.end(name)
        if any(answer is None or answer.memory.rebuilt for answer in answers):
            raise RuntimeError("a reference was disturbed, so nothing can be compared with it")
        return [outcome(answer) for answer in answers]

    return [await walk(number) for number in range(len(caller.images))]


async def _client(caller: Caller, crowd: Crowd, expected: list[list[Said]], counts: Counter[str]) -> None:
    while life := crowd.draw():
        while True:
            answer = await caller.act(life.name, life.taken, life.walk + life.taken)
            if answer is not None:
                counts["rebuilt"] += answer.memory.rebuilt
                counts["compared"] += 1
                counts["differing"] += outcome(answer) != expected[life.walk][life.taken]
            life.taken += 1
            if answer is None or life.taken == life.steps:
                await _over(caller, crowd, life, counts)
                break
            if crowd.chance.random() > STAY:
                crowd.resting.append(life)
                break


async def _over(caller: Caller, crowd: Crowd, life: Life, counts: Counter[str]) -> None:
    ended = crowd.chance.random() < ENDED
    crowd.over += 1
    counts["ended" if ended else "left"] += 1
    if ended:
        await caller.end(life.name)


def violations(found: Row) -> list[str]:
    """Returns what must not be and is. Episodes that are left behind stay in Redis, so its size and keys are not judged."""
    wrong = [f"{count} calls failed with {kind}" for kind, count in found["failed"].items()]
    wrong += [f"{name} ended" for name in found["ended_processes"]]
    wrong += [f"{found['differing']} answers differ"] * bool(found["differing"])
    wrong += ["no state was rebuilt"] * (not found["rebuilds"])
    return wrong + [one for one in found["growing"] if not one.startswith("redis")]
