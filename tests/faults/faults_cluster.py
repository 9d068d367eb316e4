"""A Redis Cluster of three primaries, each with a replica, whose nodes come back some time after they have died.

Contract: a node that has ended is started again with its data, as a kubelet would: sometimes before the others have agreed
that it is gone, so that it keeps its place, and sometimes after its replica has taken over. `stop` leaves no process.
"""

import contextlib
import random
import threading
from collections.abc import Iterator
from pathlib import Path

from support.redis_cluster import RedisClusterProcesses

REPLICAS = 1
AWAY = (0.5, 8.0)  # seconds that a dead node stays away; the others miss it after 2


class RestartedCluster:
    """The nodes, and a thread that looks after them."""

    def __init__(self, folder: Path, *, seed: int = 0) -> None:
        self._folder, self._draw = folder, random.Random(seed)
        self.processes = RedisClusterProcesses(folder, replicas=REPLICAS)
        self.restarts = 0
        self.held_away: set[int] = set()  # nodes that are not started again
        self._done = threading.Event()
        self._keeper = threading.Thread(target=self._keep)

    @property
    def settings(self) -> dict[str, str]:
        """What makes services use it, and wait for its replicas."""
        return {"SHELM_REDIS_URL": self.processes.url, "SHELM_REDIS_REPLICAS": str(REPLICAS)}

    @property
    def nodes(self) -> list[str]:
        """Names of the nodes."""
        return [f"redis-{i}" for i in range(len(self.processes.ports))]

    def pid(self, node: str) -> int:
        """Process id of a node; 0 while it is down."""
        process = self.processes.processes[self.nodes.index(node)]
        return process.pid if process.alive else 0

    def failovers(self) -> int:
        """How often a replica has taken over, as the nodes' own logs say."""
        return sum(path.read_text(errors="replace").count("Failover election won") for path in self._folder.glob("*.log"))

    def start(self) -> None:
        """Makes the cluster and looks after it from now on."""
        self.processes.start()
        self._keeper.start()

    def stop(self) -> None:
        """Ends everything."""
        self._done.set()
        if self._keeper.is_alive():
            self._keeper.join()
        self.processes.stop()

    def _keep(self) -> None:
        """Starts what has ended, each after a time of its own."""
        left: dict[int, float] = {}
        while not self._done.wait(0.1):
            for i, process in enumerate(self.processes.processes):
                if process.alive or i in self.held_away:
                    continue
                left[i] = left.get(i, self._draw.uniform(*AWAY)) - 0.1
                if left[i] <= 0:
                    del left[i]
                    self.processes.restart(i)
                    self.restarts += 1


@contextlib.contextmanager
def clustered(folder: Path, *, seed: int = 0) -> Iterator[RestartedCluster]:
    """A cluster that has started; stopped in any case."""
    cluster = RestartedCluster(folder, seed=seed)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
