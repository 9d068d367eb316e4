"""A short run: it is interrupted and goes on; its settings."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from stable_baselines3.common.vec_env import VecNormalize

from training import evaluate, ppo
from training.presets import METHODS
from training.run_log import RunLog

S7 = "MiniGrid-MemoryS7-v0"


def command(out: Path, method: str) -> list[str]:
    return ["--out", str(out), "--method", method, "--env", S7, "--task", f"{S7}:16", "--rollout", "16"]


@pytest.mark.slow
@pytest.mark.parametrize("method", [pytest.param(one, marks=[pytest.mark.long] * (one == "helmv2")) for one in METHODS])
def test_an_interrupted_run_goes_on_from_its_checkpoint(tmp_path: Path, method: str) -> None:
    common = [*command(tmp_path, method), "--checkpoint-every", "1"]
    ppo.main([*common, "--steps", "512"])
    first = load_file(tmp_path / "policy.safetensors")
    ppo.main([*common, "--steps", "1024", "--resume"])
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["steps"] for row in rows] == [256, 512, 768, 1024]
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["steps"] == 1024
    second = load_file(tmp_path / "policy.safetensors")
    assert any(not torch.equal(first[name], second[name]) for name in first)
    out = tmp_path / "evaluation.json"
    evaluate.main(["--run", str(tmp_path), "--env", S7, "--episodes", "3", "--forget", "--out", str(out)])
    [result] = json.loads(out.read_text())["agents"]
    assert (result["method"], len(result["rows"])) == (method, 3)
    if method != "shelm":
        with pytest.raises(SystemExit, match="expected an agent that remembers words"):
            evaluate.main(["--run", str(tmp_path), "--env", S7, "--edit", "swapped", "--out", str(out)])


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    common = [*command(tmp_path, "cnn"), "--steps", "256"]
    ppo.main(common)
    first = load_file(tmp_path / "policy.safetensors")
    ppo.main([*common, "--resume"])
    second = load_file(tmp_path / "policy.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = [*command(tmp_path, "cnn"), "--steps", "512"]
    with monkeypatch.context() as killed:
        killed.setattr(RunLog, "save", lambda _: sys.exit("killed"))
        with pytest.raises(SystemExit, match="killed"):
            ppo.main(common)
    with pytest.raises(SystemExit, match="holds a run already"):
        ppo.main(common)
    ppo.main([*common, "--resume"])
    assert [json.loads(line)["steps"] for line in (tmp_path / "log.jsonl").read_text().splitlines()] == [256, 512]


def test_a_checkpoint_is_due_after_steps_or_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[int] = []
    monkeypatch.setattr(RunLog, "save", lambda self: saved.append(self.num_timesteps))
    options = ["--steps", "768", "--checkpoint-every", "100000"]
    ppo.main([*command(tmp_path / "seldom", "cnn"), *options, "--checkpoint-seconds", "100000"])
    ppo.main([*command(tmp_path / "often", "cnn"), *options, "--checkpoint-seconds", "1e-9"])
    assert saved == [768, 256, 512, 768, 768]


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--steps", "0", "1 or more"),
        ("--gamma", "1.5", "from 0 to 1"),
        ("--k", "many", "from 1 to 64"),
        ("--task", "S7", "ENV:NUM_ENVS"),
        ("--method", "gru", "choose from"),
        ("--learning-rate", "nan", "above 0"),
    ],
)
def test_a_wrong_value_is_named(
    tmp_path: Path, option: str, value: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        ppo.parse_arguments([*command(tmp_path, "cnn"), option, value])
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"argument {option}: " in line
    assert expected in line


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--env", "Unknown-v0", "--task", "Unknown-v0:2"], "Unknown-v0"),
        (["--env", S7, "--task", "MiniGrid-Nothing-v0:2"], "MiniGrid-Nothing"),
        (["--env", S7, "--device", "abacus"], "abacus"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_line(tmp_path: Path, options: list[str], named: str) -> None:
    with pytest.raises(SystemExit) as ended:
        ppo.main(["--out", str(tmp_path), "--method", "cnn", *options])
    assert named in str(ended.value)
    assert len(str(ended.value).splitlines()) == 1
    assert not (tmp_path / "run.json").exists()


def test_every_option_has_help_and_says_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        ppo.parse_arguments(["--help"])
    listed = capsys.readouterr().out.partition("options:")[2]
    entries = re.split(r"\n  (?=-)", listed)[2:]
    assert len(entries) > 20
    for entry in (" ".join(entry.split()) for entry in entries):
        assert re.search(r"\(.+\)|preset|folder of the run|go on from", entry), entry


def test_the_device_of_a_run_reaches_its_algorithm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []

    def algorithm(*_: Any, device: str, **__: Any) -> None:
        given.append(device)

    for name in ("PPO", "RecurrentPPO"):
        monkeypatch.setattr(ppo, name, algorithm)
    for method in ("cnn", "lstm"):
        run = ppo.parse_arguments([*command(tmp_path, method), "--device", "cuda:1"])
        environment, _ = ppo.make_environment(run)
        ppo.make_algorithm(run, environment)
    assert given == ["cuda:1", "cuda:1"]
    assert ppo.parse_arguments(command(tmp_path, "cnn"))["device"] == "cpu"


def test_how_far_ahead_an_answer_counts_is_a_setting_of_the_run(tmp_path: Path) -> None:
    pictures = ppo.parse_arguments(["--out", str(tmp_path), "--env", "shelm/ContinuousRecognition-v0"])
    assert pictures["gamma"] < ppo.parse_arguments(["--out", str(tmp_path), "--env", S7])["gamma"]
    run = ppo.parse_arguments([*command(tmp_path, "cnn"), "--gamma", "0.5", "--normalise-reward"])
    environment, _ = ppo.make_environment(run)
    algorithm: Any = ppo.make_algorithm(run, environment)
    assert algorithm.gamma == algorithm.rollout_buffer.gamma == 0.5
    assert isinstance(environment, VecNormalize)
    assert environment.gamma == 0.5
