"""Ways to run the services. The contract tests run against each of support.ways: a compliance suite.

Contract: a `Deployment` has started when `start` returns and has left no process when `stop` returns, also after a
start that failed. To add a way to deploy, subclass it and add it to support.ways.

Failure policy: a service that does not get ready raises `NotReady` with the end of its logs.
"""

import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import redis

from deploy.local.redis_server import redis_command
from deploy.local.stack import Stack, free_port
from services.triton.repository import main as write_models
from support.gateway import Gateway
from support.process import REPOSITORY, Process, tail
from support.waiting import wait_for
from tools.local_triton import TritonServer

START_SECONDS = 120.0  # the machine may be busy


class RedisProcess:
    """A real Redis, keeping every acknowledged commit; it may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._process: Process | None = None

    @property
    def process(self) -> Process:
        """The process as it runs now."""
        assert self._process is not None
        return self._process

    def start(self) -> None:
        """Starts it and waits until it answers."""
        self._process = Process(redis_command(self._port, self._folder / "redis"), self._folder / "redis.log")
        with redis.Redis.from_url(self.url) as client:
            wait_for("redis answers", lambda: answers(client), seconds=START_SECONDS)

    def stop(self) -> None:
        """Ends it."""
        if self._process:
            self._process.stop()


class Deployment(ABC):
    """The services as one way of deploying runs them."""

    name: str
    apart = False  # retrieval and memory are processes with servers of their own
    restarts = False  # a process that dies is started again
    acts_ask_services = True  # retrieval and memory
    retrieval_target = ""  # where they are, if they are apart
    memory_target = ""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        """folder: for logs and Redis's files. settings: SHELM_* variables."""
        self.folder, self.settings = folder, dict(settings or {})
        self.target = f"127.0.0.1:{free_port()}"
        self.gateway = Gateway(self.target)

    @property
    @abstractmethod
    def redis_url(self) -> str:
        """Where the episodes are."""

    @abstractmethod
    def pids(self) -> dict[str, int]:
        """Process id of each process as it runs now, Redis included."""

    @abstractmethod
    def start(self) -> None:
        """Starts everything; returns when the public API is ready."""

    @abstractmethod
    def stop(self) -> None:
        """Ends every process."""

    @abstractmethod
    def replica_command(self) -> tuple[list[str], dict[str, str]]:
        """What starts one more public gateway on the same Redis: command and SHELM_* settings, but for SHELM_LISTEN."""

    def redis(self) -> "redis.Redis":
        """A client of the Redis that holds the episodes."""
        return redis.Redis.from_url(self.redis_url, socket_timeout=10)

    def logs(self, count: int = 30) -> str:
        """The last lines of every log."""
        return "\n".join(f"--- {path.name}\n{tail(path, count)}" for path in sorted(self.folder.glob("*.log")))

    @contextmanager
    def running(self) -> "Iterator[Deployment]":
        """Started on entry, stopped on exit."""
        try:
            self.start()
            yield self
        finally:
            self.gateway.close()
            self.stop()

    @contextmanager
    def replica(self) -> Iterator[Gateway]:
        """One more process with a public gateway on the same Redis."""
        command, settings = self.replica_command()
        target = f"127.0.0.1:{free_port()}"
        process = Process(command, self.folder / "replica.log", {**settings, "SHELM_LISTEN": target})
        try:
            with Gateway(target) as gateway:
                wait_ready(gateway, process)
                yield gateway
        finally:
            process.stop()

    @contextmanager
    def redis_paused(self) -> Iterator[None]:
        """Redis answers nothing, but is not gone."""
        pid = self.pids()["redis"]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


class Processes(Deployment):
    """Retrieval, memory, policy and Redis as processes under supervisor: `make serve`."""

    name = "processes"
    apart = True
    restarts = True

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(folder, settings)
        self._stack = Stack(folder, {**self.settings, "SHELM_LISTEN": self.target})
        self.retrieval_target = self._stack.environment["SHELM_RETRIEVAL_TARGET"]
        self.memory_target = self._stack.environment["SHELM_MEMORY_TARGET"]

    @property
    def redis_url(self) -> str:
        return self._stack.environment["SHELM_REDIS_URL"]

    @property
    def metrics(self) -> dict[str, str]:
        """Where each service is scraped, with SHELM_METRICS_LISTEN."""
        return self._stack.metrics

    def pids(self) -> dict[str, int]:
        return {name: self._stack.pid(name) for name in ("redis", "retrieval", "memory", "policy")}

    def start(self) -> None:
        self._stack.start()

    def stop(self) -> None:
        self._stack.stop()

    def replica_command(self) -> tuple[list[str], dict[str, str]]:
        names = ("SHELM_RETRIEVAL_TARGET", "SHELM_MEMORY_TARGET", "SHELM_REDIS_URL")
        known = {name: self._stack.environment[name] for name in names}
        return [sys.executable, "-m", "services.policy"], {**self.settings, **known}


class Standalone(Deployment):
    """Everything in one process, Redis in another."""

    name = "standalone"

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(folder, settings)
        self.redis_process = RedisProcess(folder)
        self._process: Process | None = None

    @property
    def redis_url(self) -> str:
        return self.redis_process.url

    @property
    def process(self) -> Process:
        """The server."""
        assert self._process is not None
        return self._process

    def pids(self) -> dict[str, int]:
        return {"redis": self.redis_process.process.pid, "standalone": self.process.pid}

    def start(self) -> None:
        self.redis_process.start()
        command, settings = self.replica_command()
        self._process = Process(command, self.folder / "standalone.log", {**settings, "SHELM_LISTEN": self.target})
        wait_ready(self.gateway, self._process)

    def kill_and_start(self) -> None:
        """kill -9 of the server, then a new one at the same address; Redis stays."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.kill()
        command, settings = self.replica_command()
        self._process = Process(command, self.folder / "again.log", {**settings, "SHELM_LISTEN": self.target})
        wait_ready(self.gateway, self._process)

    def stop(self) -> None:
        if self._process:
            self._process.stop()
        self.redis_process.stop()

    def replica_command(self) -> tuple[list[str], dict[str, str]]:
        return [sys.executable, "-m", "services.standalone"], {"SHELM_REDIS_URL": self.redis_url, **self.settings}


class BehindTriton(Processes):
    """The three services with every model in a real Triton Inference Server on the CPU; needs `make triton-setup`."""

    name = "triton"
    acts_ask_services = False

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        port = free_port()
        engine = {"SHELM_ENGINE": "triton", "SHELM_TRITON_TARGET": f"127.0.0.1:{port}"}
        super().__init__(folder, {**(settings or {}), **engine})
        self.repository = folder / "repository"
        self.triton = TritonServer(self.repository, port=port, folder=folder, environment=REPOSITORY / ".triton")

    def start(self) -> None:
        bundles = self.settings.get("SHELM_AGENTS", str(REPOSITORY / "models/minigrid-memory")).split(",")
        slots = self.settings.get("SHELM_SLOTS", "512")
        write_models([*bundles, "--out", str(self.repository), "--slots", slots])
        self.triton.start()
        super().start()

    def stop(self) -> None:
        super().stop()
        self.triton.stop()


class NotReady(RuntimeError):  # noqa: N818
    """A process did not get ready; the text is the end of its log."""


def wait_ready(gateway: Gateway, process: Process) -> None:
    """Waits until health says SERVING."""
    wait_for(f"{gateway.target} serves", lambda: gateway.serving() or not process.alive, seconds=START_SECONDS)
    if not process.alive:
        raise NotReady(tail(process.log_path, 30))


def answers(client: "redis.Redis") -> bool:
    """Whether Redis answers."""
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
