"""A real S3-compatible server process."""

import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.stack import free_port
from support.process import Process
from support.waiting import wait_for


@contextmanager
def moto(folder: Path, *, bucket: str) -> Iterator[dict[str, str]]:
    """Runs the server with an empty bucket; yields the environment variables that lead to it. folder: for its log."""
    port = free_port()
    process = Process([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], folder / "moto.log")
    access = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        wait_for("moto serves", lambda: answers(access["AWS_ENDPOINT_URL"]) or not process.alive, seconds=120)
        request = urllib.request.Request(f"{access['AWS_ENDPOINT_URL']}/{bucket}", method="PUT")
        urllib.request.urlopen(request, timeout=30).close()
        yield access
    finally:
        process.stop()


def answers(url: str) -> bool:
    """Whether a server answers there."""
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except OSError:
        return False
    return True
