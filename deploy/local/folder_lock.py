"""One owner of a folder: an exclusive lock, which the kernel releases once every process that holds it has ended.

Contract: `lock_folder` returns a descriptor; the lock lasts until it and all copies that child processes have inherited are
closed, however these processes end. `python folder_lock.py FOLDER COMMAND ...` takes the lock and becomes COMMAND, which so
holds it. The file `lock` in the folder names the process that took it last; the file itself decides nothing and stays.

Failure policy: `FolderInUse` says by whom the folder is in use; as a command, one line with the folder and exit status 2.
"""

import contextlib
import fcntl
import os
import sys
import time
from pathlib import Path
from typing import NoReturn

NAME = "lock"
LOWEST = 100  # descriptors from here on survive supervisor, which closes those below its `minfds`
AGAIN = 0.05  # seconds
WAIT = 10.0  # seconds that a command waits: a killed Redis may leave a child that still writes its log


class FolderInUse(RuntimeError):  # noqa: N818
    """Another process holds the folder."""


def lock_folder(folder: Path, *, seconds: float) -> int:
    """Locks a folder, which is made if it is missing. seconds: how long to wait for an owner that has ended but whose
    children have not; a living owner is not waited for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    opened = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _take(opened, folder, time.monotonic() + seconds)
        os.truncate(opened, 0)
        os.pwrite(opened, str(os.getpid()).encode(), 0)
        return fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, LOWEST)
    finally:
        os.close(opened)


def holds_lock(pid: int, folder: Path, lock: int) -> bool:
    """Whether a process has inherited this lock; True where the system cannot tell (there is no /proc)."""
    if not Path("/proc/self/fd").exists():
        return True
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/fd/{lock}").samefile(folder / NAME)
    return False


def _take(opened: int, folder: Path, end: float) -> None:
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        owner = os.pread(opened, 20, 0).decode(errors="replace")
        if time.monotonic() > end or _alive(owner):
            raise FolderInUse(f"the folder is in use by process {owner or 'unknown'}")
        time.sleep(AGAIN)


def _alive(owner: str) -> bool:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(int(owner or 0), 0)
        return owner.isdigit()
    return False


def main(folder: str, *command: str) -> NoReturn:
    """Becomes the command, or ends the process with status 2."""
    try:
        lock = lock_folder(Path(folder), seconds=WAIT)
    except FolderInUse as error:
        print(f"{folder}: {error}", file=sys.stderr)
        sys.exit(2)
    os.set_inheritable(lock, True)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
