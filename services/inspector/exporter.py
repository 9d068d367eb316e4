"""Writes one episode as a file, as `shelm export` does: a process of its own that exporting.py starts.

Contract: the order is JSON on standard input, so that the token is in no list of processes. The process runs at the lowest
priority, reads through the public API, and writes no file beyond MOST_BYTES. Exit status 0: the file is there. 1: standard
output has the error as JSON, in the form of errors.error_json. Else it is a fault, whose traceback is on standard error.
"""

import dataclasses
import errno
import json
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from shelm.client import Client
from shelm.errors import ShelmError
from shelm.export import Recorded, read, write_csv, write_gif, write_jsonl, write_mp4, write_rrd

from services.inspector.errors import error_json
from services.runtime.errors import ServiceError, invalid

LOWEST = 19  # nice
MOST_BYTES = 2**26  # two of them fit into the scratch volume of deploy/k8s/components/inspector
RETRY_FOR = 5.0  # seconds


@dataclass(frozen=True)
class Format:
    """A kind of file. most_steps: of an episode that is written so; needs: the module that writes it."""

    media_type: str
    most_steps: int
    write: Callable[..., None]
    needs: str = ""
    film: bool = False


def _rows(write: Callable[..., None], _: Client, episode: Recorded, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        write([episode], file)


FORMATS = {
    "jsonl": Format("application/jsonl", 100_000, partial(_rows, write_jsonl)),
    "csv": Format("text/csv", 100_000, partial(_rows, write_csv)),
    "gif": Format("image/gif", 1000, write_gif, film=True),  # Pillow holds all its pictures
    "mp4": Format("video/mp4", 5000, write_mp4, needs="av", film=True),
    "rrd": Format("application/octet-stream", 5000, write_rrd, needs="rerun"),
}


@dataclass(frozen=True)
class Order:
    """What is to be written where. tls: as shelm.Client takes it."""

    target: str
    token: str
    tls: Any
    episode_id: str
    format: str
    fps: int
    path: str

    def to_text(self) -> str:
        """The order as JSON."""
        return json.dumps(dataclasses.asdict(self))


def write(order: Order) -> None:
    """Writes the file; raises ShelmError as reading does, ServiceError for an episode that is too long."""
    kind = FORMATS[order.format]
    with Client(order.target, token=order.token or None, tls=order.tls, retry_for=RETRY_FOR) as client:
        last = client.get_episode(order.episode_id).committed_step
        if last is not None and last >= kind.most_steps:
            text = f"expected an episode of at most {kind.most_steps:,} steps for {order.format}, got {last + 1:,}"
            raise invalid("format", f"{text}; `shelm export` has no such limit")
        episode = read(client, order.episode_id)
        kind.write(client, episode, Path(order.path), **({"fps": order.fps} if kind.film else {}))


def main() -> int:
    """Obeys the order on standard input."""
    os.nice(LOWEST)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))
    try:
        write(Order(**json.load(sys.stdin)))
    except ServiceError as error:
        found = error
    except ShelmError as error:
        text = f"{error.message}; {error.advice}"
        found = ServiceError(error.code, error.reason, text, retry_after=error.retry_after)
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        found = invalid("format", f"expected a file of at most {MOST_BYTES // 2**20} MiB, and it would be larger")
    else:
        return 0
    print(json.dumps(error_json(found)))
    return 1


if __name__ == "__main__":
    sys.exit(main())
