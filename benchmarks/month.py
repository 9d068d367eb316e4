"""Thirty days of traffic on a real Redis, in minutes: `python -m benchmarks.month [--days 30] [--rate 22.4] [--json FILE]`.

Time and traffic are smaller by fixed factors: a second stands for SPEED seconds, and one episode, like one byte of Redis's
limit, for SCALE of them. Times to live are shortened by SPEED, and Redis looks for expired keys more often by about as much.
Episodes arrive at random (Poisson, in a rhythm of days), take their steps one after the other and end, but for a share that
their clients abandon. Everything goes through `EpisodeStore` and `Pressure`, which are what policy uses.

What is counted, by day: the largest share of the limit in use; episodes that began, that were refused because the store was
nearly full, and that ended; reads of ended and of running episodes shortly before their time, and how many of them failed;
commits that failed. `--surge N` adds an hour of N times the traffic, in which the mark is reached; its time is smaller by
SURGE_SPEED alone, so that no more episodes run at once than would in truth.
"""

import asyncio
import math
import random
import tempfile
import time
import uuid
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from agent.history import extend_history
from agent.vocabulary import Word
from benchmarks.deployments import redis_server
from benchmarks.report import options, table, write
from services.protocol.values import CommittedStep, EpisodeState
from services.runtime.errors import ServiceError
from services.store.episodes import Committed, EpisodeStore, new_episode
from services.store.pressure import Pressure
from services.store.redis import connect_redis

DAY, HOUR = 86_400.0, 3_600.0
SPEED, SURGE_SPEED, SCALE = 1800.0, 60.0, 150.0
LIMIT = 640 * 2**20  # bytes: maxmemory of deploy/k8s/base/redis.conf
TICK = 0.02  # seconds of real time
STEPS = 13
ABANDONED = 0.01
EPISODE_TTL, ENDED_TTL, MARK = DAY, 900.0, 0.85  # the defaults of the settings
LATE = 0.8  # of its time to live, after which an ended episode is read once more
READ = 0.02  # share of the episodes that are read
AGENT = "a" * 64


@dataclass
class Life:
    """One episode."""

    state: EpisodeState
    abandoned: bool
    last: int = field(default=STEPS - 1)  # its last step


class Month:
    """The traffic. rate: episodes per simulated second, of the whole service. speed: simulated seconds in a second."""

    def __init__(self, client: Any, rate: float, speed: float = SPEED) -> None:
        self._client, self._rate, self._speed, self._random = client, rate, speed, random.Random(0)
        self._store = EpisodeStore(client, ttl=EPISODE_TTL / speed, ended_ttl=ENDED_TTL / speed, retained=10_000)
        self._pressure = Pressure(client, mark=MARK)
        self._running: list[Life] = []
        # When to read which episode that takes no more steps, its last step, and when it expires.
        self._due: deque[tuple[float, str, int, float]] = deque()
        self.counts: Counter[str] = Counter()
        self.share, self._last = 0.0, 0.0

    async def day(self, number: int, times: float, bar: Any, length: float = DAY) -> dict[str, Any]:
        """Plays one day, or less; times: how much traffic."""
        self.counts.clear()
        self.share, began = 0.0, time.monotonic()
        self._last = began
        while (passed := (time.monotonic() - began) * self._speed) < length:
            started = time.monotonic()
            rhythm = 1 + 0.5 * math.sin(2 * math.pi * passed / DAY)
            await self._tick(times * rhythm)
            wait = TICK - (time.monotonic() - started)
            self.counts["late ticks"] += wait < 0
            await asyncio.sleep(max(0.0, wait))
            bar.update(min(length, (time.monotonic() - began) * self._speed) / length + number - bar.n)
        kinds = ("began", "refused", "ended", "abandoned", "read", "unreadable", "commits", "failed", "late ticks")
        return {"day": number, "traffic": times, "hours": length / 3600, "largest_share": round(self.share, 4)} | {
            kind: self.counts[kind] for kind in kinds
        }

    async def _tick(self, times: float) -> None:
        await self._pressure.measure()
        self.share = max(self.share, self._pressure.share)
        now = time.monotonic()
        expected = self._rate * times * (now - self._last) * self._speed / SCALE
        self._last = now
        arrived = self._poisson(expected)
        if self._pressure.full:  # what policy does
            self.counts["refused"] += arrived
        else:
            self.counts["began"] += arrived
            self._running += [self._new() for _ in range(arrived)]
        await self._step()
        await self._read()

    async def _step(self) -> None:
        """Commits the next step of every running episode; ends those that have taken their last."""
        began = time.monotonic()
        commits = [(life.state, life.state.committed + 1, self._record(life.state)) for life in self._running]
        outcomes = await self._store.commit_all(commits) if commits else []
        for life, (state, step, record), outcome in zip(self._running, commits, outcomes, strict=True):
            self.counts["commits"] += 1
            if outcome != Committed():
                self.counts["failed"] += 1
            life.state = replace(state, committed=step, history_digest=record.history_digest, length=step + 1)
        done = [life for life in self._running if life.state.committed == life.last]
        self._running = [life for life in self._running if life.state.committed < life.last]
        await asyncio.gather(*(self._end(life) for life in done if not life.abandoned))
        self.counts["abandoned"] += sum(life.abandoned for life in done)
        for life in done:
            if self._random.random() < READ:
                left = (EPISODE_TTL if life.abandoned else ENDED_TTL) / self._speed
                self._due.append((began + LATE * left, life.state.episode_id, life.last, began + left))

    async def _end(self, life: Life) -> None:
        if await self._store.end(life.state.episode_id) is None:
            self.counts["failed"] += 1
        self.counts["ended"] += 1

    async def _read(self) -> None:
        """Reads episodes shortly before they expire; all of their steps must be there."""
        now = time.monotonic()
        due = [one for one in self._due if one[0] <= now]
        self._due = deque(one for one in self._due if one[0] > now)
        for _, name, last, expires in due:
            try:
                state, steps = await self._store.steps(name, first=0, limit=1000)
            except ServiceError:
                state, steps = None, []
            if time.monotonic() >= expires:  # this program was late: nothing can be said
                continue
            self.counts["read"] += 1
            if state is None or [number for number, _ in steps] != list(range(last + 1)):
                self.counts["unreadable"] += 1

    def _new(self) -> Life:
        state = new_episode(uuid.UUID(int=self._random.getrandbits(128)).hex, agent="minigrid-memory", agent_digest=AGENT)
        abandoned = self._random.random() < ABANDONED
        return Life(state, abandoned, self._random.randrange(STEPS) if abandoned else STEPS - 1)

    def _record(self, state: EpisodeState) -> CommittedStep:
        word = Word(self._random.randrange(4000), "a doorway", 0.5)
        return CommittedStep(
            words=(word,),
            action=1,
            value=0.25,
            log_prob=-0.5,
            frame_fingerprint=self._random.randbytes(16),
            history_digest=extend_history(state.history_digest, [word.row]),
            time_us=time.time_ns() // 1000,
        )

    def _poisson(self, expected: float) -> int:
        count, left = 0, self._random.expovariate(1.0)
        while left < expected:
            count, left = count + 1, left + self._random.expovariate(1.0)
        return count


async def simulate(url: str, days: int, rate: float, surge: float, path: Path | None) -> list[dict[str, Any]]:
    """Returns a row for each day."""
    client = connect_redis(url, timeout=10)
    base = (await client.info("memory"))["used_memory"]
    await client.config_set("maxmemory", base + int(LIMIT / SCALE))  # what an empty Redis needs does not shrink
    await client.config_set("hz", 500)  # how often it looks for expired keys; by default 10 times a second
    month, rows = Month(client, rate), list[dict[str, Any]]()
    facts = {"speed": SPEED, "surge_speed": SURGE_SPEED, "scale": SCALE, "limit": LIMIT, "rate": rate, "mark": MARK}
    facts |= {"ended_ttl": ENDED_TTL, "episode_ttl": EPISODE_TTL}
    with tqdm(total=days + bool(surge), unit="day") as bar:
        for number in range(days):
            rows.append(await month.day(number, 1.0, bar))
            write({**facts, "rows": rows}, path)
        if surge:
            rows.append(await Month(client, rate, SURGE_SPEED).day(days, surge, bar, HOUR))
            write({**facts, "rows": rows}, path)
    await client.aclose()
    return rows


def main() -> None:
    """Runs the command."""
    parser = options(__doc__)
    parser.add_argument("--days", type=int)
    parser.add_argument("--rate", type=float, default=291 / STEPS, help="episodes per simulated second")
    parser.add_argument("--surge", type=float, default=8.0, help="times the traffic in one more hour; 0: none")
    chosen = parser.parse_args()
    days = chosen.days if chosen.days is not None else 1 if chosen.quick else 30
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as (url, _):
        rows = asyncio.run(simulate(url, days, chosen.rate, chosen.surge, chosen.json))
    print(table(rows))


if __name__ == "__main__":
    main()
