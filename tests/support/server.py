"""A server of the whole API in one process, which can be killed and started again at its address."""

import os
import signal
import sys
from pathlib import Path

from deploy.local.stack import free_port
from support.deployment import wait_ready
from support.gateway import Gateway
from support.process import Process
from support.scrape import scrape


class Server:
    """services.standalone. target: where it listens."""

    def __init__(self, folder: Path, redis_url: str, **settings: str) -> None:
        """Starts it. settings: SHELM_* variables."""
        self._folder = folder
        self.target, self._metrics = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        addresses = {"SHELM_LISTEN": self.target, "SHELM_METRICS_LISTEN": self._metrics, "SHELM_REDIS_URL": redis_url}
        self._settings = {**addresses, **settings}
        self.start()

    def start(self) -> None:
        """Starts it."""
        log = self._folder / f"{self.target.rpartition(':')[2]}.log"
        self.process = Process([sys.executable, "-m", "services.standalone"], log, self._settings)

    def wait(self) -> "Server":
        """Until health says SERVING."""
        with Gateway(self.target) as gateway:
            wait_ready(gateway, self.process)
        return self

    def kill(self) -> None:
        """kill -9."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.kill()

    def calls(self, method: str) -> float:
        """How many calls of a method it has answered in this life."""
        return scrape(self._metrics).value("shelm_calls_total", method=f"/shelm.v1.AgentService/{method}")
