"""Load for long: `python -m benchmarks.endurance --json FILE [--part overload|slots|lives] [--quick] [--seconds N]`.

Constant: the default agent in three processes, Redis with `appendfsync always`, the frames of one recorded walk, the shipped
client's own retries. Every part starts its services anew, and samples size and descriptors of every process meanwhile.

`overload`: 512 episodes in closed loop, once with the default SHELM_MAX_IN_FLIGHT and once with 128: latency of accepted
Acts and of Acts with all their waiting, share of the refused ones, how many of them succeeded. `slots`: 20,000 short
episodes, about 1,024 alive at a time, through 256 memory slots; every answer is compared with an undisturbed one. `lives`:
random lives with short times to live and an archive, see benchmarks.endurance.lives; written every minute.

Exit status 1 if anything is in `violations`: a failure, an answer that differs, a process that ended, a size that grew by
more than 2 % over the second half. A full run takes about 45 minutes, of which `lives` 30.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from agent.frame import Frame
from benchmarks.deployments import Deployment, record_frames, redis_server, three_processes
from benchmarks.endurance import lives, overload, slots
from benchmarks.endurance.watch import Watch, growing, trends
from benchmarks.load_client import Images
from benchmarks.report import options, write

WALK = 60
PARTS = ("overload", "slots", "lives")
Row = dict[str, Any]
Write = Callable[[Row], None]


@dataclass(frozen=True)
class Plan:
    """How much of everything. seconds: by part; for `slots` the episodes say how long it takes."""

    overload_seconds: float = 180.0
    warm: float = 10.0
    episodes: int = overload.EPISODES
    limits: tuple[int | None, ...] = (None, overload.LIMIT)
    short_lives: int = slots.EPISODES
    alive: int = slots.ALIVE
    slots: int = slots.SLOTS
    lives_seconds: float = 1800.0
    lives_at_once: int = lives.AT_ONCE
    think: float = lives.THINK
    every: float = 5.0  # seconds between two samples of `lives`


QUICK = Plan(
    overload_seconds=5.0,
    warm=1.0,
    episodes=64,
    limits=(16,),
    short_lives=300,
    alive=200,
    slots=64,
    lives_seconds=10.0,
    lives_at_once=24,
    think=0.1,
    every=1.0,
)


def run_overload(plan: Plan, frames: list[Frame], done: Write) -> None:
    """One row for each limit."""
    rows = []
    for limit in plan.limits:
        settings = {"SHELM_MAX_IN_FLIGHT": str(limit)} if limit else {}
        with ExitStack() as running:
            deployment, url = _started(running, settings)
            print(f"overload, {plan.overload_seconds:.0f} s, SHELM_MAX_IN_FLIGHT={limit or 'default'}", file=sys.stderr)
            much = {"episodes": plan.episodes, "seconds": plan.overload_seconds, "warm": plan.warm}
            found = overload.run(deployment, url, _images(frames), **much)  # type: ignore[arg-type]
        rows.append({"max_in_flight": limit, **found, "violations": overload.violations(found)})
        done({"overload": rows})


def run_slots(plan: Plan, frames: list[Frame], done: Write) -> None:
    """One row."""
    with ExitStack() as running:
        deployment, url = _started(running, {"SHELM_SLOTS": str(plan.slots)})
        print(f"slots, {plan.short_lives} episodes", file=sys.stderr)
        found = slots.run(deployment, url, _images(frames), episodes=plan.short_lives, alive=plan.alive)
    done({"slots": {**found, "violations": slots.violations(found)}})


def run_lives(plan: Plan, frames: list[Frame], done: Write) -> None:
    """One row, written again and again."""
    with ExitStack() as running:
        archive = running.enter_context(tempfile.TemporaryDirectory())
        deployment, url = _started(running, {**lives.SETTINGS, "SHELM_ARCHIVE": archive})
        watch = running.enter_context(Watch(deployment.pids, url, every=plan.every))
        asyncio.run(_lives(plan, lives.Lives(deployment.target, frames, think=plan.think), watch, done))


async def _lives(plan: Plan, soak: lives.Lives, watch: Watch, done: Write) -> None:
    began = time.monotonic()

    def row(archive: dict[str, int] | None) -> Row:
        found = trends(watch.series)
        facts = {"seconds": round(time.monotonic() - began, 1), "counts": dict(soak.counts), "failures": soak.failures}
        times = {"episode_ttl": lives.EPISODE_TTL, "ended_ttl": lives.ENDED_TTL, "slots": lives.SLOTS}
        watched = {"ended_processes": watch.ended, "trends": found, "growing": growing(watch.series), "series": watch.series}
        return {"at_once": plan.lives_at_once, **times, **facts, "archive": archive, **watched}

    async def checkpoints() -> None:
        with tqdm(total=round(plan.lives_seconds), unit="s", desc="lives") as bar:
            while True:
                for _ in range(60):
                    await asyncio.sleep(1)
                    bar.update()
                done({"lives": row(None)})

    writing = asyncio.create_task(checkpoints())
    await soak.run(plan.lives_seconds, plan.lives_at_once)
    writing.cancel()
    whole = row(None)  # before the idle seconds of the comparison
    whole["archive"] = await soak.archive_holds()
    await soak.close()
    done({"lives": {**whole, "violations": lives.violations(whole)}})


def _started(running: ExitStack, settings: dict[str, str]) -> tuple[Deployment, str]:
    folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
    redis_at = running.enter_context(redis_server(folder))
    return running.enter_context(three_processes(folder, redis_at, settings)), redis_at[0]


def _images(frames: list[Frame]) -> Images:
    return [(frame.shape[0], frame.shape[1], frame.tobytes()) for frame in frames]


RUN = {"overload": run_overload, "slots": run_slots, "lives": run_lives}


def main() -> int:
    """Runs the command; 1 if anything is in `violations`."""
    parser = options(__doc__)
    parser.add_argument("--part", choices=PARTS, help="default: all, one after the other")
    parser.add_argument("--seconds", type=float, help="of `overload`, for each limit, or of `lives`")
    chosen = parser.parse_args()
    plan = QUICK if chosen.quick else Plan()
    if chosen.seconds:
        plan = replace(plan, overload_seconds=chosen.seconds, lives_seconds=chosen.seconds)
    result: Row = {}

    def done(found: Row) -> None:
        result.update(found)
        write(result, chosen.json)

    frames = record_frames(WALK)
    for part in [chosen.part] if chosen.part else PARTS:
        RUN[part](plan, frames, done)
    return shown(result)


def shown(result: Row) -> int:
    """Prints everything but the series; returns 1 if something is wrong."""
    wrong = []
    for part, found in result.items():
        for row in found if isinstance(found, list) else [found]:
            print(part, {key: value for key, value in row.items() if key not in ("series", "trends")})
            wrong += row["violations"]
    print("violations:", "; ".join(wrong) or "none")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
