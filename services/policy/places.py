"""`Place`: files in a folder or an S3 bucket, as settings name it.

Contract: a file appears whole or not at all. S3 is reached as the AWS_* environment variables say (AWS_ENDPOINT_URL for
other servers than Amazon's). Blocking: for threads.

Failure policy: what the file system or S3 says is raised as it is; a file or folder that is not there is None or empty.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any, TypeVar

import fsspec  # type: ignore[import-untyped]
from shelm.v1.errors_pb2 import ErrorReason

from services.protocol.reasons import failure
from services.runtime.checks import CannotStart

log = logging.getLogger(__name__)
Result = TypeVar("Result")
S3 = "s3://"
BLOCK = 4096  # bytes
# Threads of their own: readers of a slow place must not take those that decode the frames of Acts.
_THREADS = ThreadPoolExecutor(8, thread_name_prefix="place")
# A worker that waits for a server that is away holds up the files behind it.
_S3_OPTIONS = {
    "config_kwargs": {"connect_timeout": 5, "read_timeout": 10, "retries": {"max_attempts": 2}},
    "use_listings_cache": False,  # other replicas write here too
    "max_concurrency": 1,  # with more it asks for the size first, a request more for each file
}


def check_place(value: str) -> str:
    """A validator for a place: a folder, `s3://BUCKET[/PREFIX]`, or empty."""
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


def check_usable(variable: str, place: str) -> None:
    """Raises CannotStart if a folder can neither be written nor made. A bucket is not asked."""
    if not place or place.startswith(S3):
        return
    folder = Path(place).absolute()
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise CannotStart(f"{variable}={place}: {folder} is not a folder that can be written")


def folder_of(episode_id: str) -> str:
    """The name of an episode's folder. A dot at its beginning is written %2E, because `..` is a legal name of an episode."""
    return f"%2E{episode_id[1:]}" if episode_id.startswith(".") else episode_id


def episode_of(folder: str) -> str:
    """The reverse of `folder_of`."""
    return folder.replace("%2E", ".", 1) if folder.startswith("%2E") else folder


async def reached(
    work: Callable[[], Result], name: str, reason: ErrorReason, *, doing: str = "", threads: ThreadPoolExecutor = _THREADS
) -> Result:
    """Runs blocking work on a place in a thread; raises `reason`, retryable, for whatever it raises.

    name: of the place, for the caller. doing: what was tried, for the log. threads: of these.
    """
    try:
        return await asyncio.get_running_loop().run_in_executor(threads, copy_context().run, work)
    except Exception as error:  # S3's client raises many kinds
        log.warning("%s cannot be reached: %s", doing or name, type(error).__name__, exc_info=error)
        raise failure(reason, f"{name} cannot be reached; retry later", retry_after=1.0) from error


class Place:
    """One folder or bucket. Paths are relative to it, with slashes."""

    def __init__(self, place: str) -> None:
        self._local = not place.startswith(S3)
        if self._local:
            self._files: Any = fsspec.filesystem("file", auto_mkdir=True)
            self._root = os.path.abspath(place)
        else:
            self._files = fsspec.filesystem("s3", **_S3_OPTIONS)
            self._root = place.removeprefix(S3).strip("/")

    def write(self, path: str, data: bytes) -> None:
        """Writes a file, over an older one."""
        whole = f"{self._root}/{path}"
        if not self._local:  # S3 shows an object when it is complete
            self._files.pipe_file(whole, data)
            return
        part = f"{whole}.part"
        try:
            self._files.pipe_file(part, data)
            os.replace(part, whole)
        except OSError:
            with contextlib.suppress(OSError):
                Path(part).unlink(missing_ok=True)
            raise

    def read(self, path: str) -> bytes | None:
        """The bytes of a file."""
        try:
            data: bytes = self._files.cat_file(f"{self._root}/{path}")
        except (FileNotFoundError, NotADirectoryError):
            return None
        return data

    def names(self, folder: str = "") -> list[str]:
        """The names of files and folders directly within a folder, in alphabetical order."""
        try:
            found = self._files.ls(f"{self._root}/{folder}".rstrip("/"), detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted({name for path in found if (name := path.rstrip("/").rpartition("/")[2])})

    def files(self) -> dict[str, tuple[float, int]]:
        """Paths of all files, with the time when each was written, in seconds since 1970, and its bytes, as `room`."""
        found = self._files.find(self._root, detail=True).items()
        return {
            path.removeprefix(f"{self._root}/"): (self._written(info), self.room(int(info["size"]))) for path, info in found
        }

    def paths(self) -> list[str]:
        """Paths of all files."""
        return [path.removeprefix(f"{self._root}/") for path in self._files.find(self._root)]

    def room(self, size: int) -> int:
        """The bytes that a file of this size takes: whole blocks of a disk, or what it has in a bucket."""
        return -(-size // BLOCK) * BLOCK if self._local else size

    def remove(self, path: str) -> bool:
        """Deletes a file, and its folder if that is empty then; returns whether the file was there."""
        whole = f"{self._root}/{path}"
        try:
            self._files.rm_file(whole)
        except FileNotFoundError:  # another replica was faster
            return False
        if self._local:
            with contextlib.suppress(OSError):  # other files are in it
                os.rmdir(os.path.dirname(whole))
        return True

    def _written(self, info: dict[str, Any]) -> float:
        return float(info["mtime"] if self._local else info["LastModified"].timestamp())
