"""A service starts with the packages of its image alone, and ends in good order."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from support.images import ONLY
from support.process import REPOSITORY

from deploy.local.stack import free_port
from tools.packages import installed


def test_policy_starts_with_the_packages_of_its_image_alone_and_ends_with_0(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    held = ",".join(sorted(installed("policy") | {"shelm-client", "shelm-serving"}))
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", ONLY, held, "policy"],
            env={"SHELM_LISTEN": f"127.0.0.1:{port}", "SHELM_REDIS_URL": "redis://127.0.0.1:1/0"},
            cwd=REPOSITORY,
            stdout=out,
            stderr=out,
        )
    try:
        while "serves on" not in log.read_text() and process.poll() is None:
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, log.read_text()
    finally:
        process.kill()
    assert "serves on" in log.read_text()


def test_the_inspector_starts_with_the_packages_of_its_image_alone_and_ends_with_0(tmp_path: Path) -> None:
    held = ",".join(sorted(installed("inspector") | {"shelm-client", "shelm-serving"}))
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", ONLY, held, "inspector"],
            env={"SHELM_INSPECTOR_LISTEN": f"127.0.0.1:{free_port()}"},
            cwd=REPOSITORY,
            stdout=out,
            stderr=out,
        )
    try:
        while "serves on" not in log.read_text() and process.poll() is None:
            time.sleep(0.1)
        time.sleep(0.5)  # the line comes just before it listens to signals
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()
    finally:
        process.kill()
    assert "serves on" in log.read_text()
