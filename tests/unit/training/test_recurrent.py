"""The LSTM over whole sequences, and the sizes of its CNN."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy

from training.agents import load_agent
from training.ppo import main
from training.recurrent import SequencePolicy, load_policy


@pytest.mark.parametrize("starts", [[], [(0, 0), (2, 0)], [(0, 0), (1, 3)]], ids=["none", "first", "middle"])
def test_an_lstm_over_whole_sequences_is_the_one_that_goes_step_by_step(starts: list[tuple[int, int]]) -> None:
    rows, steps, width = 3, 5, 4
    torch.manual_seed(1)
    lstm, features = torch.nn.LSTM(width, width), torch.randn(rows * steps, width)
    state, begins = (torch.randn(1, rows, width), torch.randn(1, rows, width)), torch.zeros(rows, steps)
    for row, step in starts:
        begins[row, step] = 1
    found = []
    for policy in (RecurrentActorCriticPolicy, SequencePolicy):
        output, last = policy._process_sequence(features, state, begins.flatten(), lstm)
        gradients = torch.autograd.grad((output**2).sum(), list(lstm.parameters()))
        found.append([output, *last, *gradients])
    torch.testing.assert_close(found[1], found[0])


@pytest.mark.slow
@pytest.mark.parametrize(("cnn", "channels"), [("small", [16, 32]), ("equal", [32, 64])])
def test_a_run_is_loaded_with_the_cnn_that_it_was_trained_with(cnn: str, channels: list[int], tmp_path: Path) -> None:
    options = ["--task", "MiniGrid-MemoryS7-v0:2", "--steps", "16", "--rollout", "8", "--lstm-cnn", cnn]
    main(["--env", "MiniGrid-MemoryS7-v0", "--method", "lstm", "--out", str(tmp_path), *options])
    run, weights = json.loads((tmp_path / "run.json").read_text()), load_file(tmp_path / "policy.safetensors")
    assert run["policy"]["channels"] == channels
    load_agent(run, tmp_path, num_envs=1)
    if cnn == "small":  # as in runs that name no sizes
        run.pop("policy")
        load_policy(run, weights)
