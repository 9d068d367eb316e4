"""The commands of a study's run."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from training import ppo, study
from training.agents import load_agent


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


@pytest.mark.slow
def test_kept_weights_are_half_precision_and_load_as_the_run_does(tmp_path: Path) -> None:
    run, kept = tmp_path / "run", tmp_path / "kept"
    options = ["--task", "MiniGrid-MemoryS7-v0:2", "--steps", "16", "--rollout", "8"]
    ppo.main(["--env", "MiniGrid-MemoryS7-v0", "--method", "cnn", "--out", str(run), *options])
    study.keep_weights(run, kept)
    assert {one.dtype for one in load_file(kept / "policy.safetensors").values()} == {torch.float16}
    settings = json.loads((kept / "run.json").read_text())
    frame = np.random.default_rng(0).integers(256, size=(1, *settings["frame"], 3), dtype=np.uint8)
    actions = []
    for folder in (run, kept):
        agent = load_agent(settings, folder, num_envs=1)
        agent.begin(0)
        with torch.inference_mode():
            actions.append(agent.act(frame, [(0, 1, 0)], deterministic=True))
    assert actions[0] == actions[1]
    assert not (kept / "checkpoint.pt").exists()
