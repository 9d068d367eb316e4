"""The end of the demo says how to see its last episode, or another one while make serve runs."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.local import demo
from deploy.local.stack import CannotRun, FolderTaken

PLAYED = """episode 1/2  episode-aa
   0  key (0.66)  -> left
episode 1/2  return 0.979 in 14 steps
episode 2/2  episode-bb
   0  ball (0.66)  -> left
episode 2/2  return 0.979 in 9 steps
{"env": "X"}
"""


class Stack:
    """Starts nothing."""

    target = "nowhere"
    refused: list[Path] = []  # noqa: RUF012
    folders: list[Path] = []  # noqa: RUF012

    def __init__(self, folder: Path, settings: Any, **_: Any) -> None:
        self.folder = folder

    def __enter__(self) -> "Stack":
        if self.folder in self.refused:
            raise FolderTaken("in use")
        self.folders.append(self.folder)
        return self

    def __exit__(self, *_: object) -> None: ...


class Played(subprocess.Popen[str]):
    """What `shelm play` prints."""

    def __init__(self, command: list[str], **named: Any) -> None:
        super().__init__(["printf", "%s", PLAYED], **named)


@pytest.fixture(autouse=True)
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELM_RUN_DIR", str(tmp_path))
    monkeypatch.setattr(demo, "Stack", Stack)
    monkeypatch.setattr(demo.subprocess, "Popen", Played)  # type: ignore[attr-defined]
    monkeypatch.setattr(Stack, "refused", [])
    monkeypatch.setattr(Stack, "folders", [])


def test_it_ends_with_how_to_see_the_last_episode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main() == 0
    printed = capsys.readouterr().out
    assert PLAYED in printed
    last = printed.partition(PLAYED)[2]
    assert "make serve" in last
    assert "shelm explain episode-bb 7" in last
    assert Stack.folders == [tmp_path]


def test_beside_make_serve_it_plays_elsewhere_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Stack.refused.append(tmp_path)
    assert demo.main() == 0
    last = capsys.readouterr().out.partition(PLAYED)[2]
    assert "episode-bb" not in last
    assert "shelm explain @last 0" in last
    assert Stack.folders
    assert tmp_path not in Stack.folders


def test_services_that_cannot_run_are_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(_: Stack) -> None:
        raise CannotRun("SHELM_AGENTS: nothing there")

    monkeypatch.setattr(Stack, "__enter__", refuse)
    assert demo.main() == 1
    assert capsys.readouterr().err == "SHELM_AGENTS: nothing there\n"
