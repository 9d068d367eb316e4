"""The folder of a run: one run each; what was there is refused or resumed, never mixed."""

import json
from pathlib import Path
from typing import Any

import pytest

from training.run_folder import FolderRefused, claim

SETTINGS: dict[str, Any] = {"method": "cnn", "gamma": 0.99, "steps": 10, "device": "cpu", "task": ["A:1"]}


def take(out: Path, *, resume: bool, **changes: Any) -> None:
    with claim(out, {**SETTINGS, "out": out, "resume": resume, **changes}):
        pass


def begun(out: Path, *names: str) -> Path:
    """A folder in which a run has left these files."""
    out.mkdir()
    (out / "run.json").write_text(json.dumps({**SETTINGS, "commit": "abc"}))
    for name in names:
        (out / name).write_text("of a run")
    return out


@pytest.mark.parametrize("resume", [False, True])
def test_a_new_folder_is_made(tmp_path: Path, *, resume: bool) -> None:
    take(tmp_path / "new" / "run", resume=resume)
    assert (tmp_path / "new" / "run").is_dir()


@pytest.mark.parametrize("name", ["checkpoint.pt", "policy.safetensors", "log.jsonl", "run.json"])
def test_a_folder_with_a_run_is_refused_and_left_as_it_is(tmp_path: Path, name: str) -> None:
    out = begun(tmp_path / "run", name)
    with pytest.raises(FolderRefused, match="holds a run already"):
        take(out, resume=False)
    assert (out / name).read_text()


def test_a_run_is_resumed_also_for_longer_and_elsewhere(tmp_path: Path) -> None:
    out = begun(tmp_path / "run", "checkpoint.pt", "log.jsonl")
    take(out, resume=True, steps=20, device="cuda")
    assert (out / "log.jsonl").exists()


@pytest.mark.parametrize(("name", "value"), [("gamma", 0.9), ("method", "lstm"), ("task", ["A:2"])])
def test_a_run_is_not_resumed_with_other_settings(tmp_path: Path, name: str, value: Any) -> None:
    out = begun(tmp_path / "run", "checkpoint.pt")
    with pytest.raises(FolderRefused, match=f"--{name} .*began with"):
        take(out, resume=True, **{name: value})


def test_what_was_logged_before_the_first_checkpoint_is_dropped(tmp_path: Path) -> None:
    out = begun(tmp_path / "run", "log.jsonl")
    (out / "tensorboard").mkdir()
    take(out, resume=True)
    assert not (out / "log.jsonl").exists()
    assert not (out / "tensorboard").exists()


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with claim(tmp_path, {**SETTINGS, "resume": False}), pytest.raises(FolderRefused, match="another process"):
        take(tmp_path, resume=True)
    take(tmp_path, resume=True)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderRefused, match="--out"):
        take(tmp_path / "file" / "run", resume=False)
