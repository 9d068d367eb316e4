"""A real Redis Cluster of three primaries, with or without replicas, from the server binary that the tests use.

Contract: `start` returns when all slots are served and all replicas follow; `stop` leaves no process. A node may be killed
and started again with its data.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

from deploy.local.redis_server import find_redis_server
from deploy.local.stack import free_port
from support.process import Process
from support.waiting import wait_for

NODES, SLOTS = 3, 16384


class RedisClusterProcesses:
    """Three primaries on one or several addresses, then as many replicas for each as there are."""

    def __init__(
        self,
        folder: Path,
        hosts: Sequence[str] = ("127.0.0.1",) * NODES,
        inside: Sequence[str] = ("",) * NODES,
        *,
        replicas: int = 0,
    ) -> None:
        """hosts: address of each primary. inside: network namespace of each, "" for this one. replicas: of each primary."""
        self._folder, self._hosts, self._inside = folder, [*hosts] * (1 + replicas), [*inside] * (1 + replicas)
        self.ports = [_port_with_bus() for _ in self._hosts]
        self.processes: list[Process] = []

    @property
    def url(self) -> str:
        """For SHELM_REDIS_URL."""
        return self.url_at(0)

    def url_at(self, number: int) -> str:
        """The same, by way of another node."""
        return f"cluster+redis://{self._hosts[number]}:{self.ports[number]}"

    def start(self) -> None:
        """Starts the nodes and makes a cluster of them."""
        self.processes = [self._process(i) for i in range(len(self.ports))]
        nodes: list[Any] = [self.node(i) for i in range(len(self.ports))]
        wait_for("the nodes answer", lambda: all(_answers(node) for node in nodes))
        share = -(-SLOTS // NODES)
        for i, node in enumerate(nodes):
            if i < NODES:
                node.execute_command("CLUSTER", "ADDSLOTSRANGE", i * share, min(SLOTS, (i + 1) * share) - 1)
            node.execute_command("CLUSTER", "MEET", self._hosts[0], self.ports[0])
        wait_for("the cluster is whole", lambda: all(_whole(node, len(nodes)) for node in nodes))
        for i, node in enumerate(nodes[NODES:]):
            node.execute_command("CLUSTER", "REPLICATE", nodes[i % NODES].execute_command("CLUSTER", "MYID"))
        each = len(nodes) // NODES
        wait_for("the replicas follow", lambda: all(_follows(node) for node in nodes[NODES:]))
        wait_for("the nodes know them", lambda: all(_knows(node, each) for node in nodes))
        for node in nodes:
            node.close()

    def node(self, number: int) -> "redis.Redis":
        """A client of one node."""
        return redis.Redis(host=self._hosts[number], port=self.ports[number], socket_timeout=5)

    def restart(self, number: int) -> None:
        """Starts a node that was killed, with its data."""
        self.processes[number] = self._process(number)

    def _process(self, number: int) -> Process:
        """One node; those that have replicas agree within seconds that one is gone."""
        data, space = self._folder / f"node-{number}", self._inside[number]
        data.mkdir(parents=True, exist_ok=True)
        enter = ["ip", "netns", "exec", space] if space else []
        listen = ["--port", str(self.ports[number]), "--bind", self._hosts[number], "--dir", str(data), "--save", ""]
        keep = ["--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0"]
        options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--protected-mode", "no"]
        command = [*enter, find_redis_server(), *listen, *keep, *options]
        return Process(command, self._folder / f"redis-{number}.log")

    def stop(self) -> None:
        """Ends the nodes."""
        for process in self.processes:
            process.stop()


def _answers(node: "redis.Redis") -> bool:
    try:
        return bool(node.ping())
    except redis.RedisError:
        return False


def _whole(node: "redis.Redis", count: int) -> bool:
    state: Any = node.cluster("INFO")
    return bool(state["cluster_state"] == "ok" and int(state["cluster_known_nodes"]) == count)


def _knows(node: "redis.Redis", each: int) -> bool:
    shards: Any = node.execute_command("CLUSTER", "SLOTS")  # [first, last, primary, replicas ...]
    return len(shards) == NODES and all(len(shard) == 2 + each for shard in shards)


def _follows(node: "redis.Redis") -> bool:
    state: Any = node.info("replication")
    return bool(state["role"] == "slave" and state["master_link_status"] == "up")


def _port_with_bus() -> int:
    """A free port whose bus port, 10,000 above, stays below the range of outgoing connections."""
    while (port := free_port()) >= 22_000:
        pass
    return port
