"""`Recordings`: frames as PNG files in a folder or an S3 bucket, EPISODE/STEP.png below the place that SHELM_RECORD names.

Contract: a file appears whole or not at all, and its pixels are the frame's. EPISODE is the episode's name; a dot at
its beginning is written %2E, so that no name leads out of the place (`..` is a legal name). S3 is reached as the
AWS_* environment variables say (AWS_ENDPOINT_URL for other servers than Amazon's). Blocking: for threads.

Failure policy: what the file system or S3 says is raised as it is; a missing or unreadable recording is None.
"""

import contextlib
import io
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
import numpy as np
from PIL import Image

from agent.frame import Frame

log = logging.getLogger(__name__)
S3 = "s3://"
# A worker that waits for a server that is away holds up the frames behind it.
_S3_OPTIONS = {
    "config_kwargs": {"connect_timeout": 5, "read_timeout": 10, "retries": {"max_attempts": 2}},
    "use_listings_cache": False,  # other replicas write here too
}
_OURS = re.compile(r"[^/]+/\d+\.png(\.part)?")


def check_place(value: str) -> str:
    """A validator for SHELM_RECORD: a folder, `s3://BUCKET[/PREFIX]`, or empty."""
    if value.startswith(S3):
        if not value.removeprefix(S3).strip("/"):
            raise ValueError("expected s3://BUCKET[/PREFIX]")
        try:
            fsspec.get_filesystem_class("s3")
        except ImportError as error:
            raise ValueError(str(error)) from None
    elif "://" in value:
        raise ValueError("expected a folder or s3://BUCKET[/PREFIX]")
    return value


@dataclass(frozen=True)
class Recorded:
    """A recorded frame, and the file that it was read from."""

    frame: Frame
    png: bytes


class Recordings:
    """The recordings at one place; see `check_place`."""

    def __init__(self, place: str) -> None:
        self._local = not place.startswith(S3)
        if self._local:
            self._files: Any = fsspec.filesystem("file", auto_mkdir=True)
            self._root = os.path.abspath(place)
        else:
            self._files = fsspec.filesystem("s3", **_S3_OPTIONS)
            self._root = place.removeprefix(S3).strip("/")

    def write(self, episode_id: str, step: int, frame: Frame) -> None:
        """Records a frame, uint8 (height, width, 3)."""
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, "PNG")
        path = self._path(episode_id, step)
        if not self._local:  # S3 shows an object when it is complete
            self._files.pipe_file(path, buffer.getvalue())
            return
        part = f"{path}.part"
        try:
            self._files.pipe_file(part, buffer.getvalue())
            self._files.mv(part, path)
        except OSError:
            with contextlib.suppress(OSError):
                Path(part).unlink(missing_ok=True)
            raise

    def read(self, episode_id: str, step: int) -> Recorded | None:
        """A recorded frame."""
        try:
            png: bytes = self._files.cat_file(self._path(episode_id, step))
        except (FileNotFoundError, NotADirectoryError):
            return None
        frame = _decode(png)
        return None if frame is None else Recorded(frame, png)

    def sweep(self, before: float) -> int:
        """Deletes what was recorded before a time (seconds since 1970) and nothing else; returns how many frames."""
        removed = [path for path, info in self._files.find(self._root, detail=True).items() if self._old(path, info, before)]
        for path in removed:
            with contextlib.suppress(FileNotFoundError):  # another replica was faster
                self._files.rm_file(path)
        if self._local:
            for folder in {os.path.dirname(path) for path in removed}:
                with contextlib.suppress(OSError):  # newer frames are in it
                    os.rmdir(folder)
        return len(removed)

    def _old(self, path: str, info: dict[str, Any], before: float) -> bool:
        if not _OURS.fullmatch(path.removeprefix(f"{self._root}/")):
            return False
        written: float = info["mtime"] if self._local else info["LastModified"].timestamp()
        return written < before

    def _path(self, episode_id: str, step: int) -> str:
        name = f"%2E{episode_id[1:]}" if episode_id.startswith(".") else episode_id
        return f"{self._root}/{name}/{step}.png"


def _decode(png: bytes) -> Frame | None:
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as file:
            return np.asarray(file.convert("RGB"))
    except Exception as error:  # Pillow raises many kinds
        log.warning("a recorded file of %d bytes is no whole PNG: %s", len(png), error)
        return None
