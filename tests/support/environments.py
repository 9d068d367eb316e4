"""Python environments of their own, for what must work without this repository's.

Failure policy: where the package index cannot be reached the test is skipped, with that reason; any other failure to
build or install is an AssertionError with the tool's own text.
"""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from support.process import REPOSITORY

UV = Path(sys.executable).with_name("uv")  # `make setup` puts it there
INSTALL_SECONDS = 240.0
AWAY = ("dns error", "Failed to fetch", "Connection refused", "timed out", "Temporary failure", "NewConnectionError")


RUN_SECONDS = 120.0
OLDEST = ("--resolution", "lowest-direct", "--only-binary", ":all:")  # of the packages that are named
NEWEST = ("--resolution", "highest", "--only-binary", ":all:")


def bare_python(folder: Path, *packages: str, interpreter: Path | None = None, options: tuple[str, ...] = ()) -> Path:
    """The interpreter of a fresh environment in `folder` that holds these packages and what they need.

    It is made from `interpreter`, this process's unless given; `options` tell uv which versions to take.
    """
    _run([str(UV), "venv", "--quiet", "--no-project", "--python", str(interpreter or sys.executable), str(folder)])
    python = folder / "bin" / "python"
    install(python, *options, *packages)
    return python


def install(python: Path, *packages: str) -> None:
    """Adds packages to an environment that `bare_python` made."""
    _run([str(UV), "pip", "install", "--python", str(python), "--quiet", *packages])


def resolved(*packages: str, python: str) -> dict[str, str]:
    """The versions that would be installed together under a version of Python; nothing is installed."""
    command = [str(UV), "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--python-version", python, "-"]
    lines = _run(command, "\n".join(packages)).splitlines()
    return dict(line.split("==") for line in lines if "==" in line and "@" not in line)


@cache
def interpreter_of(version: str) -> Path | None:
    """An interpreter of a version of Python, such as "3.9", on PATH or of pyenv; None if there is none that runs."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    found = shutil.which(f"python{version}")
    places = [*([Path(found)] if found else []), *sorted(pyenv.glob(f"{version}.*/bin/python"))]
    return next((place for place in places if _answers(place, version)), None)


def client_artefacts(folder: Path) -> tuple[Path, Path]:
    """The sdist of shelm-client, built from a copy of its sources, and the wheel, built from the sdist."""
    copy = folder / "sources"
    ignored = shutil.ignore_patterns("*.egg-info", "__pycache__", "build", "dist", ".ruff_cache")
    shutil.copytree(REPOSITORY / "clients" / "python", copy, ignore=ignored)
    _run([str(UV), "build", "--quiet", "--out-dir", str(folder), str(copy)])
    (sdist,) = folder.glob("shelm_client-*.tar.gz")
    (wheel,) = folder.glob("shelm_client-*.whl")
    return sdist, wheel


def client_wheel(folder: Path) -> Path:
    """The wheel of shelm-client."""
    return client_artefacts(folder)[1]


def run_alone(command: list[str], folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command in `folder` that sees nothing of this repository and none of its settings but `variables`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "SHELM"))}
    return subprocess.run(
        command, cwd=folder, env=kept | variables, capture_output=True, text=True, timeout=RUN_SECONDS, check=False
    )


def _answers(python: Path, version: str) -> bool:
    """Whether it is an interpreter of that version: a version manager's name on PATH may stand for none."""
    command = [str(python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() == version


def _run(command: list[str], typed: str = "") -> str:
    done = subprocess.run(command, input=typed, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    if done.returncode and any(sign in done.stderr for sign in AWAY):
        pytest.skip("the package index cannot be reached")
    assert done.returncode == 0, done.stderr
    return done.stdout
