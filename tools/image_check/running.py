"""Runs built layers as an engine would: read-only root, the image's user, its environment, its entry point.

Failure policy: a service that does not become healthy, cannot be stopped in time, or exits with a status other than 0 raises
RuntimeError with the end of its log.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from shelm import Client

from deploy.local.redis_server import redis_command
from deploy.local.stack import free_port
from tools.image_check.stages import PATH, Stage, ancestry, command, last, variables

START_SECONDS, STOP_SECONDS = 180.0, 10.0
TOKEN = "dry-run"


class Container:
    """One running image."""

    def __init__(self, name: str, ancestors: list[Stage], layers: list[Path], work: Path, redis_url: str) -> None:
        """layers: lowest first. work: for the mount and the log."""
        self.name, self._stages = name, ancestors
        self._root, self._log = work / name / "running", work / name / "log"
        self._mount(layers, work)
        self._env, _ = variables(ancestors, {"PATH": PATH, "SHELM_REDIS_URL": redis_url})
        self._env["SHELM_TOKENS_FILE"] = "/run/tokens"
        self._env["SHELM_ALLOW_PLAINTEXT"] = "true"  # the images listen on every address; only this machine calls
        self.began = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._inside("ENTRYPOINT"), env=self._env, stdout=log, stderr=log)

    def _mount(self, layers: list[Path], work: Path) -> None:
        top = work / self.name / "mounts"
        for folder in ("models", "run", "tmp", "dev", "proc"):
            (top / folder).mkdir(parents=True, exist_ok=True)
        (top / "run" / "tokens").write_text(f"{TOKEN} dry-run act,read\npolicy-of-the-{TOKEN} policy inner\n")
        self._root.mkdir(exist_ok=True)
        lower = ":".join(str(layer) for layer in [top, *reversed(layers)])  # without an upper layer nothing can be written
        for arguments in (
            ["-t", "overlay", "overlay", "-o", f"lowerdir={lower}", str(self._root)],
            ["-t", "tmpfs", "tmpfs", str(self._root / "tmp")],
            ["-t", "proc", "proc", str(self._root / "proc")],
            ["--rbind", "/dev", str(self._root / "dev")],
            ["--bind", "-o", "ro", "models", str(self._root / "models")],
        ):
            subprocess.run(["mount", *arguments], check=True)

    def _inside(self, instruction: str) -> list[str]:
        user, folder = last(self._stages, "USER"), last(self._stages, "WORKDIR")
        # Both commands replace themselves, so that a signal reaches the service.
        return [
            "chroot",
            f"--userspec={user}",
            str(self._root),
            "env",
            "-C",
            folder,
            *command(last(self._stages, instruction)),
        ]

    def wait_healthy(self) -> None:
        """Waits until the image's HEALTHCHECK succeeds."""
        while subprocess.run(self._inside("HEALTHCHECK"), env=self._env, capture_output=True, check=False).returncode:
            if self._process.poll() is not None or time.monotonic() - self.began > START_SECONDS:
                raise RuntimeError(f"{self.name} is not healthy:\n{self._log.read_text()[-3000:]}")
            time.sleep(0.2)
        print(f"{self.name}: healthy after {time.monotonic() - self.began:.1f} s", flush=True)

    def check_cannot_write(self) -> None:
        """Raises RuntimeError if the service's user can change its own code."""
        touch = ["chroot", "--userspec=10001:10001", str(self._root), "touch", "/app/services/__init__.py", "/opt/new"]
        if subprocess.run(touch, capture_output=True, check=False).returncode == 0:
            raise RuntimeError(f"{self.name}: the root can be written")

    def stop(self) -> None:
        """Sends SIGTERM, as an engine does to stop a container."""
        began = time.monotonic()
        self._process.terminate()
        try:
            status = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        if status != 0:
            raise RuntimeError(f"{self.name} ended with status {status}:\n{self._log.read_text()[-3000:]}")
        print(f"{self.name}: stopped in {time.monotonic() - began:.1f} s with status 0", flush=True)


def check_all(stages: dict[str, Stage], layers: Mapping[str, list[Path]], work: Path) -> None:
    """Checks the three services together, then standalone; each group must answer an Act."""
    groups = [["retrieval", "memory", "policy"], ["standalone"]]
    for group in ([name for name in group if name in layers] for group in groups):
        with _redis(work) as url, contextlib.ExitStack() as stack:
            for name in group:
                container = Container(name, ancestry(stages, name), layers[name], work, url)
                stack.callback(container.stop)
                container.check_cannot_write()
                container.wait_healthy()
            if {"policy", "standalone"} & set(group):
                _act()


def _act() -> None:
    began = time.monotonic()
    with Client("127.0.0.1:50051", token=TOKEN) as client, client.episode() as episode:
        act = episode.act(np.zeros((56, 56, 3), np.uint8))
    words = ", ".join(token.text for token in act.tokens)
    print(f"an Act gives the words {words} and action {act.action} in {time.monotonic() - began:.2f} s", flush=True)


@contextlib.contextmanager
def _redis(work: Path) -> Iterator[str]:
    port = free_port()
    with (work / "redis.log").open("wb") as log:
        process = subprocess.Popen(redis_command(port, work / f"redis-{os.getpid()}"), stdout=log)
    try:
        time.sleep(1)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()
