"""`python -m deploy.local.serve` as a process of its own, and violence against the services that it starts.

Contract: `Serve.stop` leaves no process of the stack behind, whatever was done to it. Processes are found by the run
directory, which their environment names, so that nothing else on the machine is ever touched.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import redis
from shelm import Client
from shelm.errors import ShelmError
from support.process import REPOSITORY, environment_with, tail
from support.waiting import wait_for

from deploy.local.stack import free_port

MODELS = ("retrieval", "memory", "policy")
SERVICES = ("redis", *MODELS)
START_SECONDS = 150.0  # the machine may be busy
BACK_SECONDS = 90.0  # for a service that was killed
STOP_SECONDS = 40.0
RETRY_SECONDS = 120.0


class Serve:
    """One `make serve` on free ports."""

    def __init__(self, folder: Path, *, label: str = "", **settings: str) -> None:
        """folder: the run directory. label: name of the files with its output, if not the folder's. settings: SHELM_*
        variables.
        """
        self.folder = folder
        self.target = f"127.0.0.1:{free_port()}"
        addresses = {"SHELM_LISTEN": self.target, "SHELM_INSPECTOR_LISTEN": f"127.0.0.1:{free_port()}"}
        # Without policy's own cache every Act needs every service, so that the loss of any of them is noticed.
        self._settings = {"SHELM_RUN_DIR": str(folder), "SHELM_POLICY_CACHE_FRAMES": "0", **addresses, **settings}
        self.errors_path = folder.parent / f"{label or folder.name}.stderr"
        self.output_path = folder.parent / f"{label or folder.name}.stdout"
        with self.errors_path.open("wb") as errors, self.output_path.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deploy.local.serve"],
                cwd=REPOSITORY,
                env=environment_with(self._settings),
                stdout=output,
                stderr=errors,
                start_new_session=True,  # a Ctrl-C of whoever runs the tests ends it through the fixture
            )

    def wait_started(self) -> None:
        """Until it says that it is ready."""
        wait_for("serve is ready or has ended", lambda: "ready:" in self.output or not self.alive, seconds=START_SECONDS)
        assert f"ready: agents act at {self.target}" in self.output, f"{self.errors}\n{self.logs()}"

    @property
    def alive(self) -> bool:
        """Whether serve itself runs."""
        return self.process.poll() is None

    @property
    def output(self) -> str:
        """What it has printed."""
        return self.output_path.read_text()

    @property
    def errors(self) -> str:
        """What it has printed to standard error."""
        return self.errors_path.read_text()

    def logs(self) -> str:
        """The ends of the services' logs."""
        return "\n".join(f"--- {path.name}\n{tail(path, 15)}" for path in sorted(self.folder.glob("*.log")))

    def pid(self, service: str) -> int:
        """Process id of a service as its file says now."""
        text = (self.folder / f"{service}.pid").read_text()
        return int(text) if text.strip() else 0  # it is being written

    def pids(self) -> dict[str, int]:
        """Process ids of all services."""
        return {service: self.pid(service) for service in SERVICES}

    def kill(self, service: str) -> int:
        """SIGKILL; the pid that it had. A service that is down already is left to supervisor."""
        pid = self.pid(service)
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pid

    def wait_new_pid(self, service: str, old: int) -> None:
        """Until supervisor has started the service again."""
        wait_for(f"{service} has a new pid", lambda: self.pid(service) not in (0, old), seconds=BACK_SECONDS)

    @property
    def serving(self) -> bool:
        """Whether health says SERVING."""
        with self.client(retry_for=0) as client:
            try:
                client.ping()
            except ShelmError:
                return False
        return True

    def wait_serving(self) -> float:
        """Until health says SERVING."""
        return wait_for("health says SERVING", lambda: self.serving, seconds=BACK_SECONDS)

    def client(self, *, retry_for: float = RETRY_SECONDS) -> Client:
        """A client with its safe retries."""
        return Client(self.target, retry_for=retry_for)

    def redis(self) -> "redis.Redis":
        """A client of its Redis."""
        found = re.search(r"--port (\d+)", (self.folder / "supervisord.conf").read_text())
        assert found
        return redis.Redis(port=int(found[1]))

    @contextlib.contextmanager
    def held_down(self, service: str) -> Iterator[None]:
        """Kills a service, and each one that supervisor puts in its place, until the block ends."""
        done = threading.Event()

        def hold() -> None:
            while not done.is_set():
                self.kill(service)
                done.wait(0.01)

        holder = threading.Thread(target=hold)
        holder.start()
        try:
            yield
        finally:
            done.set()
            holder.join()

    def processes(self) -> list[psutil.Process]:
        """Every process of this stack that still runs, serve and supervisor included."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            mine = process.environ().get("SHELM_RUN_DIR") == str(self.folder)
            # Redis writes its title over its environment, but it works in its own folder.
            return mine or Path(process.cwd()).is_relative_to(self.folder)
        except (psutil.Error, OSError):
            return False

    def end(self) -> None:
        """Ends serve in good order; what it leaves behind stays."""
        if self.alive:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        self.process.poll()

    def stop(self) -> None:
        """Ends everything."""
        self.end()
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()


@contextlib.contextmanager
def serving(folder: Path, **settings: str) -> Iterator[Serve]:
    """A stack that has started; stopped in any case."""
    serve = Serve(folder, **settings)
    try:
        serve.wait_started()
        yield serve
    finally:
        serve.stop()
