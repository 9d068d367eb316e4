"""Lists by name prefix while sweeps run and while none does: `python -m benchmarks.listing --against CHECKOUT`.

Begins episodes in a Redis as `benchmarks.search` does, and starts two servers on it, of another checkout and of this one.
One client asks both in turns for the newest page of running episodes and for a page of a name prefix that one in a hundred
has: from the start on, when each server looks through all episodes (`services.store.indexer`, which does so every minute or
more), until it has asked often enough while they do not. `sweeping`: Redis had other work in the moment after.
"""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import grpc
import redis
from shelm.v1 import agent_pb2_grpc

from benchmarks.deployments import redis_server, standalone
from benchmarks.figures import percentiles_ms
from benchmarks.report import options, table, write
from benchmarks.search import commands, fill_store, questions

LIVE, ENDED, ROUNDS = 50_000, 2_000, 150
QUICK = (300, 30, 3)
ASKED = ("live: the newest that run", "live: a name prefix of 1 %")
MOMENT, IDLE = 0.15, 100  # seconds; commands of Redis in them
LONGEST = 400.0  # seconds
Row = dict[str, Any]


def ask(targets: dict[str, str], store: Any, rounds: int) -> list[Row]:
    """Asks until `rounds` were without a sweep; returns a row for each question that was asked."""
    stubs: dict[str, Any] = {way: agent_pb2_grpc.AgentServiceStub(grpc.insecure_channel(at)) for way, at in targets.items()}
    rows, idle, end = list[Row](), 0, time.monotonic() + LONGEST
    while idle < rounds and time.monotonic() < end:
        some = list[Row]()
        for question in ASKED:
            method, request = questions()[question]
            for way in sorted(stubs, reverse=idle % 2 == 1):
                began = time.perf_counter()
                getattr(stubs[way], method)(request, timeout=60)
                some.append({"question": question, "server": way, "seconds": time.perf_counter() - began})
        before = commands(store)
        time.sleep(MOMENT)
        sweeping = commands(store) - before > IDLE
        rows += [{**row, "sweeping": sweeping} for row in some]
        idle += not sweeping
    return rows


def figures(rows: list[Row]) -> list[Row]:
    """Returns the times of each question, server and state."""
    kinds = sorted({(not row["sweeping"], row["question"], row["server"]) for row in rows})
    found = []
    for idle, question, server in kinds:
        some = [r for r in rows if (not r["sweeping"], r["question"], r["server"]) == (idle, question, server)]
        times = {"asked": len(some), **percentiles_ms([one["seconds"] for one in some])}
        found.append({"question": question, "server": server, "sweeping": not idle, **times})
    return found


def measure(folder: Path, other: Path, live: int, ended: int, rounds: int) -> dict[str, Any]:
    """Returns the times at both servers."""
    with redis_server(folder) as redis_at:
        asyncio.run(fill_store(redis_at[0], live, ended))
        store: Any = redis.Redis.from_url(redis_at[0])
        with (
            standalone(folder, redis_at, {}, checkout=other, name="before") as before,
            standalone(folder, redis_at, {}) as now,
        ):
            rows = ask({"before": before.target, "now": now.target}, store, rounds)
        store.close()
    return {"live": live, "ended": ended, "questions": figures(rows)}


def main() -> None:
    """Runs the command."""
    parser = options(__doc__)
    parser.add_argument("--against", type=Path, required=True, metavar="CHECKOUT", help="the other checkout")
    given = parser.parse_args()
    live, ended, rounds = QUICK if given.quick else (LIVE, ENDED, ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), given.against.absolute(), live, ended, given.rounds or rounds)
    print(table(result["questions"]))
    write(result, given.json)


if __name__ == "__main__":
    main()
