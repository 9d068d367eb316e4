"""Where episodes live in a cluster, and what moves cost: `python -m benchmarks.scale [--json FILE] [--quick]`.

`homes`: a simulation of the rendezvous hashing by which policy chooses the memory replica of an episode
(services.runtime.replicas): how evenly episodes are spread, and how many rebuilds an episode costs when a replica is
added, dies, or all are upgraded one by one. Every running episode takes a step between two changes, so each new home is one
rebuild. An upgraded replica comes back under its old address (a StatefulSet), or a new one joins before the old one leaves
(a Deployment, maxSurge 1).

`aof`: bytes that one Act adds to Redis's append-only file, measured on a real Redis behind the services.

`plan`: what so many running episodes take, one Act a second each, from `aof`, and from the raw data of other benchmarks:
the most Acts per core of a deployment (load-many), bytes in Redis and of a slot (capacity).
"""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import redis
from numpy.typing import NDArray
from shelm import Client
from tqdm import tqdm

from benchmarks.bundles import noise
from benchmarks.deployments import redis_server, standalone
from benchmarks.page import read
from benchmarks.report import options, table, write
from services.runtime.replicas import preference

EPISODES, QUICK_EPISODES = 20_000, 500
REPLICAS = (2, 4, 8, 16, 32)
ACTS, QUICK_ACTS = 1000, 50
RUNNING = (1_000, 10_000, 100_000, 1_000_000)
STEPS = 100  # of an episode, in the plan
Row = dict[str, Any]


class Cluster:
    """Episodes and the replicas that are there. moves: rebuilds so far."""

    def __init__(self, episodes: int, replicas: Sequence[str]) -> None:
        self._keys = [hashlib.blake2b(str(i).encode(), digest_size=8).digest() for i in range(episodes)]
        self._weights: dict[str, NDArray[np.uint64]] = {}
        self.replicas, self.moves = list(replicas), 0
        self.homes = self._found()

    def change(self, *, leaves: str = "", joins: str = "") -> None:
        """A replica leaves, or one joins; every episode then takes a step."""
        self.replicas = [one for one in self.replicas if one != leaves] + ([joins] if joins else [])
        now = self._found()
        # The one that left keeps no state that is of use when it is back: the history has gone on.
        self.moves += int((now != self.homes).sum())
        self.homes = now

    def loads(self) -> NDArray[np.int64]:
        """Returns the number of episodes at each replica."""
        return np.array([(self.homes == hash_of(one)).sum() for one in self.replicas])

    def _found(self) -> NDArray[np.uint64]:
        """Returns which replica each episode prefers, by the hash of its address."""
        for one in self.replicas:
            if one not in self._weights:
                weights = [int.from_bytes(preference(key, one), "big") for key in self._keys]
                self._weights[one] = np.array(weights, np.uint64)
        best = np.argmax([self._weights[one] for one in self.replicas], axis=0)
        found: NDArray[np.uint64] = np.array([hash_of(one) for one in self.replicas], np.uint64)[best]
        return found


def hash_of(address: str) -> int:
    """Returns a number for an address."""
    return int.from_bytes(hashlib.blake2b(address.encode(), digest_size=8).digest(), "big")


def added(cluster: Cluster) -> None:
    """One more replica."""
    cluster.change(joins="new")


def lost(cluster: Cluster) -> None:
    """One dies and does not come back."""
    cluster.change(leaves=cluster.replicas[0])


def upgraded_in_place(cluster: Cluster) -> None:
    """One after the other goes and comes back under its address."""
    for one in list(cluster.replicas):
        cluster.change(leaves=one)
        cluster.change(joins=one)


def upgraded_by_surge(cluster: Cluster) -> None:
    """For each, a new one joins before it leaves."""
    for one in list(cluster.replicas):
        cluster.change(joins=f"{one}-next")
        cluster.change(leaves=one)


EVENTS: dict[str, Callable[[Cluster], None]] = {
    "one added": added,
    "one lost": lost,
    "all upgraded, same addresses": upgraded_in_place,
    "all upgraded, new addresses": upgraded_by_surge,
}


def homes(episodes: int) -> list[Row]:
    """Returns one row for each number of replicas and event."""
    rows = []
    for count in tqdm(REPLICAS, desc="replicas"):
        names = [f"10.0.0.{i}:50053" for i in range(count)]
        for event, work in EVENTS.items():
            cluster = Cluster(episodes, names)
            before = cluster.loads()
            work(cluster)
            after = cluster.loads()
            rows.append(
                {
                    "replicas": count,
                    "event": event,
                    "hottest_before": round(float(before.max() / before.mean()), 3),
                    "hottest_after": round(float(after.max() / after.mean()), 3),
                    "rebuilds_per_episode": round(cluster.moves / episodes, 3),
                }
            )
    return rows


def aof_bytes(acts: int) -> float:
    """Returns bytes that one Act adds to the append-only file, over episodes of `STEPS` steps."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with redis_server(folder) as redis_at, standalone(folder, redis_at, {}) as deployment:
            store: Any = redis.Redis.from_url(redis_at[0])
            frames = list(noise(20))
            with Client(deployment.target, timeout=60) as client:
                begin = store.info("persistence")["aof_current_size"]
                for first in range(0, acts, STEPS):
                    with client.episode() as episode:
                        for step in range(min(STEPS, acts - first)):
                            episode.act(frames[step % len(frames)])
            grown = store.info("persistence")["aof_current_size"] - begin
            store.close()
    return round(float(grown) / acts, 1)


def plan(aof: float) -> list[Row]:
    """Returns what numbers of running episodes take at one Act a second each."""
    capacity, many = read("capacity"), read("load-many")
    per_step, per_episode = capacity["redis_slope"]["per_step"], capacity["redis_slope"]["per_episode"]
    per_core = max(row["rate"] for row in many["closed"]) / many["machine"]["cores"]
    slots = {(row["bundle"], row["dtype"]): row["bytes"] for row in capacity["slots"]}
    return [
        {
            "episodes": count,
            "acts_per_second": count,
            "cores": round(count / per_core, 1),
            "redis_bytes": round(count * (per_episode + per_step * STEPS)),
            "aof_bytes_per_second": round(count * aof),
            "slot_bytes": count * slots["minigrid-memory", "float32"],
            "paper_slot_bytes": count * slots["paper-511", "bfloat16"],
        }
        for count in RUNNING
    ]


def main() -> None:
    """Runs the simulation and the measurement."""
    parser = options(__doc__)
    given = parser.parse_args()
    found = homes(QUICK_EPISODES if given.quick else EPISODES)
    print(table(found))
    aof = aof_bytes(QUICK_ACTS if given.quick else ACTS)
    planned = plan(aof)
    print(table(planned))
    write({"homes": found, "aof_bytes": aof, "plan": planned}, given.json)


if __name__ == "__main__":
    main()
