"""Two policies, two memories, two retrievals and Redis on machines of their own: network namespaces, as pods would have.

`PodsOnCluster` has a Redis Cluster of three nodes instead of one Redis; `PodsBehindTriton` all models in a Triton on its own
machine. Contract and failure policy: those of `Deployment`; without permission for namespaces `start` skips the test.
"""

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.local.redis_server import find_redis_server
from services.triton.repository import main as write_models
from support.deployment import Deployment, answers, wait_ready
from support.gateway import Gateway
from support.process import REPOSITORY, Process
from support.redis_cluster import NODES, RedisClusterProcesses
from support.waiting import wait_for
from tools.local_triton import TritonServer
from tools.network import Machine, Network, NotPermitted

PORTS = {"retrieval": 50052, "memory": 50053, "policy": 50051}
REPLICAS = 2


class Pods(Deployment):
    """Every process on its own machine."""

    name = "pods"
    apart = True

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(folder, settings)
        self.network = Network()
        self.machines: dict[str, Machine] = {}
        self.processes: dict[str, Process] = {}
        self._url = ""

    @property
    def redis_url(self) -> str:
        return self._url

    def pids(self) -> dict[str, int]:
        return {name.removesuffix("-1"): process.pid for name, process in self.processes.items()}

    def start(self) -> None:
        try:
            self.network.open()
        except NotPermitted as reason:
            pytest.skip(str(reason))
        self._url = self.start_redis()
        self.settings |= {"SHELM_ALLOW_ANONYMOUS": "true", "SHELM_ALLOW_PLAINTEXT": "true", "SHELM_REDIS_URL": self._url}
        for service in ("retrieval", "memory", "policy"):
            machines = [self.machine(f"{service}-{i + 1}") for i in range(REPLICAS)]
            port = PORTS[service]
            if service != "policy":
                self.settings[f"SHELM_{service.upper()}_TARGET"] = ",".join(f"{one.address}:{port}" for one in machines)
            for i in range(REPLICAS):
                self.start_service(service, i + 1)
        self.retrieval_target = f"{self.machines['retrieval-1'].address}:{PORTS['retrieval']}"
        self.memory_target = f"{self.machines['memory-1'].address}:{PORTS['memory']}"
        self.gateway.close()
        self.target = f"{self.machines['policy-1'].address}:{PORTS['policy']}"
        self.gateway = Gateway(self.target)
        wait_ready(self.gateway, self.processes["policy-1"])

    def machine(self, name: str) -> Machine:
        """A machine of that name, made if there is none."""
        if name not in self.machines:
            self.machines[name] = self.network.add(name)
        return self.machines[name]

    def start_service(self, service: str, number: int) -> None:
        """Starts one replica; policy listens where clients look, the others where policy does."""
        name = f"{service}-{number}"
        machine = self.machine(name)
        listen = "SHELM_LISTEN" if service == "policy" else f"SHELM_{service.upper()}_LISTEN"
        environment = {**self.settings, listen: f"{machine.address}:{PORTS[service]}"}
        command = [*machine.inside, sys.executable, "-m", f"services.{service}"]
        self.processes[name] = Process(command, self.folder / f"{name}.log", environment)

    def start_redis(self) -> str:
        """Starts Redis; returns its URL."""
        machine = self.machine("redis")
        data = self.folder / "redis"
        data.mkdir(parents=True, exist_ok=True)
        options = ["--dir", str(data), "--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        listen = ["--port", "6379", "--bind", machine.address, "--protected-mode", "no"]
        command = [*machine.inside, find_redis_server(), *listen, *options]
        self.processes["redis"] = Process(command, self.folder / "redis.log")
        url = f"redis://{machine.address}:6379/0"
        with redis.Redis.from_url(url) as client:
            wait_for("redis answers", lambda: answers(client))
        return url

    def stop(self) -> None:
        for process in self.processes.values():
            process.stop()
        self.network.close()

    def replica_command(self) -> tuple[list[str], dict[str, str]]:
        # A gateway on this machine, which is on the same bridge.
        return [sys.executable, "-m", "services.policy"], dict(self.settings)


class PodsOnCluster(Pods):
    """With a Redis Cluster."""

    name = "pods-cluster"

    def start_redis(self) -> str:
        machines = [self.machine(f"redis-{i + 1}") for i in range(NODES)]
        addresses, names = [machine.address for machine in machines], [machine.name for machine in machines]
        self.cluster = RedisClusterProcesses(self.folder, addresses, names)
        self.cluster.start()
        return self.cluster.url

    def redis(self) -> Any:
        return redis.RedisCluster.from_url(self.redis_url.removeprefix("cluster+"), socket_timeout=10)

    def pids(self) -> dict[str, int]:
        return {**super().pids(), **{f"redis-{i}": one.pid for i, one in enumerate(self.cluster.processes)}}

    @contextmanager
    def redis_paused(self) -> Iterator[None]:
        for process in self.cluster.processes:
            os.kill(process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in self.cluster.processes:
                os.kill(process.pid, signal.SIGCONT)

    def stop(self) -> None:
        if hasattr(self, "cluster"):
            self.cluster.stop()
        super().stop()


class PodsBehindTriton(Pods):
    """With every model in a Triton on a machine of its own."""

    name = "pods-triton"

    def start_redis(self) -> str:
        url = super().start_redis()
        machine = self.machine("triton")
        write_models([str(REPOSITORY / "models/minigrid-memory"), "--out", str(self.folder / "repository")])
        self.triton = TritonServer(
            self.folder / "repository",
            port=8001,
            folder=self.folder,
            environment=REPOSITORY / ".triton",
            host=machine.address,
            inside=machine.inside,
        )
        self.triton.start()
        self.settings |= {"SHELM_ENGINE": "triton", "SHELM_TRITON_TARGET": self.triton.target}
        return url

    def stop(self) -> None:
        super().stop()
        if hasattr(self, "triton"):
            self.triton.stop()


PODS = (Pods, PodsOnCluster, PodsBehindTriton)
