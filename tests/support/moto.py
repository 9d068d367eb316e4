"""A real S3-compatible server process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.bucket_server import bucket_access, bucket_command, make_bucket
from deploy.local.stack import free_port
from support.process import Process
from support.waiting import wait_for


@contextmanager
def moto(folder: Path, *, bucket: str) -> Iterator[dict[str, str]]:
    """Runs the server with an empty bucket; yields the environment variables that lead to it. folder: for its log."""
    port = free_port()
    process = Process(bucket_command(port), folder / "moto.log")
    try:
        wait_for("moto serves", lambda: make_bucket(port, bucket) or not process.alive, seconds=120)
        yield bucket_access(port)
    finally:
        process.stop()
