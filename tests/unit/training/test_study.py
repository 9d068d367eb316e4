"""The commands of a study's run."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from training import study


def test_training_and_evaluations_of_a_run_get_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []

    def call(command: list[str], **_: Any) -> Any:
        called.append(command)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(study, "RUNS", tmp_path)
    monkeypatch.setattr("training.study.subprocess.run", call)
    monkeypatch.setattr(study, "keep", lambda _: None)
    assert study.perform(study.Run("s11-shelm-0", study.S11, "shelm", 0), "cuda:1")
    assert [command[:3] for command in called] == [
        [sys.executable, "-m", f"training.{part}"] for part in ("ppo", *["evaluate"] * 3)
    ]
    assert all(command[command.index("--device") + 1] == "cuda:1" for command in called)
