"""Python environments of their own, for what must work without this repository's.

Failure policy: where the package index cannot be reached the test is skipped, with that reason; any other failure to
build or install is an AssertionError with the tool's own text.
"""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from support.process import REPOSITORY

INSTALL_SECONDS = 240.0
AWAY = ("dns error", "Failed to fetch", "Connection refused", "timed out", "Temporary failure", "NewConnectionError")


def bare_python(folder: Path, *packages: str) -> Path:
    """The interpreter of a fresh environment in `folder` that holds these packages and what they need."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    install(python, *packages)
    return python


def install(python: Path, *packages: str) -> None:
    """Adds packages to an environment that `bare_python` made."""
    uv = Path(sys.executable).with_name("uv")
    tool = [str(uv), "pip", "install"] if uv.exists() else [sys.executable, "-m", "pip", "install"]
    where = ["--python", str(python)] if uv.exists() else ["--prefix", str(python.parents[1])]
    _run([*tool, *where, "--quiet", *packages])


def client_wheel(folder: Path) -> Path:
    """The wheel of shelm-client, built from a copy of its sources."""
    copy = folder / "sources"
    ignored = shutil.ignore_patterns("*.egg-info", "__pycache__", "build", "dist", ".ruff_cache")
    shutil.copytree(REPOSITORY / "clients" / "python", copy, ignore=ignored)
    uv = Path(sys.executable).with_name("uv")
    if uv.exists():
        _run([str(uv), "build", "--quiet", "--wheel", "--out-dir", str(folder), str(copy)])
    else:
        _run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(copy)])
    (wheel,) = folder.glob("shelm_client-*.whl")
    return wheel


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    if done.returncode and any(sign in done.stderr for sign in AWAY):
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr
