"""Everything in docs/clients.md and in the client's README that can be run is run, as it stands there, on real services.

They record frames, so that the guide may explain a step without giving its frame. What needs openpi, npm or Jupyter has
tests of its own.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.deployment import Deployment, Standalone
from support.process import REPOSITORY, environment_with

GUIDE = REPOSITORY / "docs" / "clients.md"
README = REPOSITORY / "clients" / "python" / "README.md"
ADDRESS = "127.0.0.1:50051"
EPISODE = re.compile(r"episode-[0-9a-f]{32}")
SECONDS = 180.0


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of one language."""
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    return found


PYTHON = [(page.name, number) for page in (GUIDE, README) for number in range(len(blocks(page, "python")))]
COMMANDS = [line[2:] for block in blocks(GUIDE, "console") for line in block.splitlines() if line.startswith("$ ")]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, _no_settings: None) -> Iterator[Deployment]:
    """Services that record frames."""
    folder = tmp_path_factory.mktemp("guide")
    with Standalone(folder, {"SHELM_RECORD": str(folder / "frames")}).running() as running:
        yield running


def run(command: list[str], folder: Path, target: str) -> str:
    """What a command prints that succeeds and complains of nothing."""
    settings = environment_with({"SHELM_TARGET": target})
    done = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("page", "number"), PYTHON)
def test_an_example_in_python_runs(recording: Deployment, tmp_path: Path, page: str, number: int) -> None:
    code = blocks(GUIDE if page == GUIDE.name else README, "python")[number]
    assert ADDRESS in code
    assert run([sys.executable, "-c", code.replace(ADDRESS, recording.target)], tmp_path, recording.target).strip()


def test_the_commands_run_one_after_the_other(recording: Deployment, tmp_path: Path) -> None:
    assert len(COMMANDS) > 5
    episode = "none is played yet"
    for line in COMMANDS:
        command = EPISODE.sub(episode, line)
        program, *arguments = shlex.split(re.sub(r"^(shelm explain \S+) \d+", r"\1 1", command))  # an episode may be short
        assert program == "shelm"
        printed = run([sys.executable, "-m", "shelm.cli", *arguments], tmp_path, recording.target)
        assert printed.strip(), command
        if arguments[0] == "play":
            (episode,) = set(EPISODE.findall(printed))
    assert any((tmp_path / "frames").iterdir())
