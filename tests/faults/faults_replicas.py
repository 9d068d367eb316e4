"""Replicas of the whole server on one Redis, which die where they are told to and come back (faults_server.py)."""

import os
import signal
import sys
from pathlib import Path

from shelm import Client
from support.deployment import wait_ready
from support.gateway import Gateway
from support.process import Process
from support.waiting import wait_for

from deploy.local.stack import free_port

BACK_SECONDS = 60.0
RETRY_SECONDS = 120.0


class Replica:
    """One server that comes back after each death."""

    def __init__(self, folder: Path, redis_url: str, **settings: str) -> None:
        """settings: SHELM_* variables."""
        folder.mkdir()
        self._folder = folder
        self.target = f"127.0.0.1:{free_port()}"
        addresses = {"SHELM_LISTEN": self.target, "SHELM_REDIS_URL": redis_url}
        command = [sys.executable, str(Path(__file__).with_name("faults_server.py")), str(folder)]
        self.process = Process(command, folder / "server.log", {**addresses, **settings})
        self.gateway = Gateway(self.target)

    def wait_serving(self) -> None:
        """Until health says SERVING."""
        wait_ready(self.gateway, self.process)

    @property
    def pid(self) -> int:
        """Of the life that runs now."""
        return int((self._folder / "life.pid").read_text() or 0)

    def signal(self, number: signal.Signals) -> int:
        """Sends a signal to the running life; its pid."""
        pid = self.pid
        os.kill(pid, number)
        return pid

    def wait_next_life(self, old: int) -> None:
        """Until another life serves."""
        wait_for("another life has begun", lambda: self.pid not in (0, old), seconds=BACK_SECONDS)
        wait_for("it serves", self.gateway.serving, seconds=BACK_SECONDS)

    def arm(self, point: str) -> None:
        """From now on lives end at this point, by chance."""
        (self._folder / "armed").write_text(point)

    def disarm(self) -> None:
        """Lives go on."""
        (self._folder / "armed").unlink(missing_ok=True)

    def deaths(self, point: str) -> int:
        """How often a life has ended at this point."""
        file = self._folder / "deaths"
        return file.read_text().split().count(point) if file.exists() else 0

    def client(self) -> Client:
        """A client with its safe retries."""
        return Client(self.target, retry_for=RETRY_SECONDS)

    def stop(self) -> None:
        """Ends it."""
        self.gateway.close()
        self.process.stop()
