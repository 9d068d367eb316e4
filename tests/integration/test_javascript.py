"""The JavaScript example against the real services. Skipped, with the reason, without node and npm or their registry."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image
from shelm import Client
from support.deployment import Deployment
from support.frames import Frame
from support.process import REPOSITORY, environment_with

EXAMPLE = REPOSITORY / "clients" / "javascript"
INSTALL_SECONDS, PLAY_SECONDS = 240.0, 60.0


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with its packages, as `npm ci` installs them from the lock file."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("javascript")
    for name in ("package.json", "package-lock.json", ".npmrc", "play.js"):
        shutil.copy(EXAMPLE / name, folder)
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
    if done.returncode and any(sign in done.stderr for sign in ("ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN")):
        pytest.skip("no package registry of npm can be reached")
    assert done.returncode == 0, done.stderr
    return folder


def run(example: Path, target: str, *files: str) -> "subprocess.CompletedProcess[str]":
    """Plays one episode."""
    settings = {"SHELM_TARGET": target, "SHELM_PROTOS": str(REPOSITORY / "protos"), "PATH": os.environ["PATH"]}
    return subprocess.run(
        ["node", "play.js", *files],
        cwd=example,
        env=environment_with(settings),
        capture_output=True,
        text=True,
        timeout=PLAY_SECONDS,
        check=False,
    )


def test_javascript_plays_an_episode_over_files(
    example: Path, deployment: Deployment, frames: Sequence[Frame], tmp_path: Path
) -> None:
    files = [str(tmp_path / f"{number}.png") for number in range(5)]
    for file, frame in zip(files, frames, strict=False):
        Image.fromarray(frame).save(file)
    done = run(example, deployment.target, *files)
    assert (done.returncode, done.stderr) == (0, "")
    head, *lines = done.stdout.splitlines()
    name = head.split()[0]
    with Client(deployment.target) as client:
        names = deployment.gateway.agent().action_space.names
        remembered = list(client.memory(name))
        assert client.get_episode(name).ended
        assert client.act(frames[0], name, step=0).replayed  # the pixels of the file are the frame
    assert len(lines) == len(remembered) == 5
    for line, step in zip(lines, remembered, strict=True):
        assert line.split()[:2] == [str(step.step), step.tokens[0].text]
        assert line.endswith(f"-> {names[int(str(step.action))]}")


def test_javascript_makes_frames_of_its_own(example: Path, deployment: Deployment) -> None:
    done = run(example, deployment.target)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 13


def test_javascript_fails_with_one_line(example: Path, deployment: Deployment, tmp_path: Path) -> None:
    (tmp_path / "no.png").write_bytes(b"no picture")
    done = run(example, deployment.target, str(tmp_path / "no.png"))
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "observation" in done.stderr


def test_the_lock_file_names_no_place() -> None:
    text = (EXAMPLE / "package-lock.json").read_text()
    assert '"resolved"' not in text
    assert '"integrity": "sha512-' in text
