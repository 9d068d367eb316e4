"""A real Redis Cluster of three nodes without replicas, from the server binary that the tests use.

Contract: `start` returns when all slots are served; `stop` leaves no process.
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
    """Three nodes on one or several addresses."""

    def __init__(
        self, folder: Path, hosts: Sequence[str] = ("127.0.0.1",) * NODES, inside: Sequence[str] = ("",) * NODES
    ) -> None:
        """hosts: address of each node. inside: network namespace of each node, "" for this one."""
        self._folder, self._hosts, self._inside = folder, hosts, inside
        self.ports = [_port_with_bus() for _ in hosts]
        self.processes: list[Process] = []

    @property
    def url(self) -> str:
        """For SHELM_REDIS_URL."""
        return f"cluster+redis://{self._hosts[0]}:{self.ports[0]}"

    def start(self) -> None:
        """Starts the nodes and makes a cluster of them."""
        for i, (host, port, space) in enumerate(zip(self._hosts, self.ports, self._inside, strict=True)):
            data = self._folder / f"node-{i}"
            data.mkdir(parents=True, exist_ok=True)
            enter = ["ip", "netns", "exec", space] if space else []
            options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--protected-mode", "no", "--save", ""]
            listen = ["--port", str(port), "--bind", host, "--dir", str(data), "--appendonly", "yes"]
            command = [*enter, find_redis_server(), *listen, *options]
            self.processes.append(Process(command, self._folder / f"redis-{i}.log"))
        nodes: list[Any] = [redis.Redis(host=host, port=port) for host, port in zip(self._hosts, self.ports, strict=True)]
        wait_for("the nodes answer", lambda: all(_answers(node) for node in nodes))
        share = -(-SLOTS // NODES)
        for i, node in enumerate(nodes):
            node.execute_command("CLUSTER", "ADDSLOTSRANGE", i * share, min(SLOTS, (i + 1) * share) - 1)
            node.execute_command("CLUSTER", "MEET", self._hosts[0], self.ports[0])
        wait_for("the cluster is whole", lambda: all(_whole(node) for node in nodes))
        for node in nodes:
            node.close()

    def stop(self) -> None:
        """Ends the nodes."""
        for process in self.processes:
            process.stop()


def _answers(node: "redis.Redis") -> bool:
    try:
        return bool(node.ping())
    except redis.RedisError:
        return False


def _whole(node: "redis.Redis") -> bool:
    state: Any = node.cluster("INFO")
    return bool(state["cluster_state"] == "ok" and int(state["cluster_known_nodes"]) == NODES)


def _port_with_bus() -> int:
    """A free port whose bus port, 10,000 above, stays below the range of outgoing connections."""
    while (port := free_port()) >= 22_000:
        pass
    return port
