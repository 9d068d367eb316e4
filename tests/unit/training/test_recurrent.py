"""The LSTM over whole sequences."""

import pytest
import torch
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy

from training.recurrent import SequencePolicy


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
