"""The least work of a step, against counts by hand, and on tensors that pretend to be on a GPU."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from agent.memory.transformer_xl.model import TransformerXLConfig
from agent.memory.transformer_xl.weights import random_transformer_xl
from benchmarks.gpu.roofline import Work, copy_bandwidth, matrix_rate, shares, step_work, timed, tower_work

SIZES: dict[str, Any] = {"d_embed": 32, "d_model": 32, "n_head": 2, "d_head": 16, "d_inner": 64, "n_layer": 3}


def test_a_step_reads_the_weights_once_and_every_row_its_keys_and_values() -> None:
    config = TransformerXLConfig(vocab_size=50, cutoffs=(10, 20, 40), **SIZES)
    model = random_transformer_xl(0, lm_token_ids=torch.arange(20), window=9, tokens_per_step=1, config=config)
    weights = sum(one.numel() for one in model.stack.parameters())
    cached = 2 * 3 * 2 * 9 * 16  # keys and values of one row: layers, heads, positions, numbers
    one, four = step_work(model, 1), step_work(model, 4)
    assert one == Work(bytes=4 * (weights + cached), operations=2.0 * (weights + cached))
    assert four == Work(bytes=4 * (weights + 4 * cached), operations=8.0 * (weights + cached))
    assert model.new_cache(1).slot_bytes == 4 * cached
    assert step_work(model.to(torch.bfloat16), 1).bytes == one.bytes / 2


def test_encoding_frames_reads_the_weights_once_and_uses_them_for_every_token() -> None:
    tower = nn.Linear(8, 4, bias=False).to(torch.bfloat16)
    assert tower_work(tower, rows=3, tokens=5) == Work(bytes=64, operations=2 * 32 * 15)


def test_the_larger_share_is_that_of_the_roofline() -> None:
    found = shares(Work(bytes=50, operations=10), 1.0, bandwidth=100, rate=100)
    assert found == {"share_of_bandwidth": 0.5, "share_of_rate": 0.1, "share_of_roofline": 0.5}


def test_a_slow_call_is_timed_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr("benchmarks.gpu.roofline.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    assert timed(lambda: None, "cpu", repeats=50) == [1, 1, 1]


def test_the_limits_are_measured_on_the_device_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    monkeypatch.setattr("benchmarks.gpu.roofline.synchronise", used.append)
    with FakeTensorMode():
        assert copy_bandwidth("cuda:0", 2**20) > 0
        assert matrix_rate("cuda:0", torch.bfloat16, 64) > 0
    assert set(used) == {"cuda:0"}
