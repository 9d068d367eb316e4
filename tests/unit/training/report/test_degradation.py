"""Areas under degradation curves, from cells whose figures are worked out by hand."""

import json
from typing import Any

import pytest

from training.report.degradation import LEVELS, degradation, zero_shot


def run(method: str, seed: int, value: float, *, view: str = "both", env: str = "S11") -> str:
    """A run with 1 on clean frames and `value` at all levels."""
    names = [name for levels in LEVELS.values() for names in levels for name in names]
    cells: list[dict[str, Any]] = [{"perturbation": "clean", "view": view, "mean_return": 1.0, "solved": 1.0}]
    cells += [{"perturbation": name, "view": view, "mean_return": value, "solved": value} for name in names]
    return json.dumps({"method": method, "run_seed": seed, "env": env, "starts": [0, 1], "cells": cells})


def test_an_area_begins_with_clean_frames_and_weighs_levels_evenly() -> None:
    text = degradation({"shelm-0-S11.json": run("shelm", 0, 0.4), "cnn-1-S11.json": run("cnn", 1, 0.0)})
    # Three levels: (0.7 + 0.4 + 0.4) / 3 and (0.5 + 0 + 0) / 3; two levels: (0.7 + 0.4) / 2 and 0.5 / 2.
    assert "| noise | 0.50 (0.50) | 0.17 (0.17) |" in text
    assert "| brightness | 0.55 (0.55) | 0.25 (0.25) |" in text
    assert "Tests" not in text, "one run each is too few"


def test_runs_are_tested_from_three_on_each_side_with_one_correction() -> None:
    files = {
        f"{method}-{seed}": run(method, seed, value + seed / 50)
        for method, value in (("shelm", 0.8), ("lstm", 0.1))
        for seed in range(3)
    }
    lines = [line.split(" | ") for line in degradation(files).splitlines() if "LSTM-PPO | 3, 3" in line]
    assert len(lines) == len(LEVELS)
    for cells in lines:
        assert float(cells[5].rstrip(" |")) == pytest.approx(len(LEVELS) * float(cells[4]), rel=0.05)


def test_environments_are_not_mixed_the_one_with_fewer_starts_first() -> None:
    text = degradation({"a": run("shelm", 0, 0.4, env="S11"), "b": run("shelm", 0, 1.0, env="Obstacles")})
    first, second = text.split("## S11: 2 starts")[1].split("## Obstacles: 2 starts")
    assert "| noise | 0.50 (0.50) |" in first
    assert "| noise | 1.00 (1.00) |" in second


def test_a_view_that_was_not_played_has_no_table() -> None:
    text = degradation({"shelm-0-S11.json": run("shelm", 0, 0.4, view="memory")})
    assert "what the memory sees perturbed" in text
    assert "both views perturbed" not in text


def test_environments_that_were_not_trained_on_are_counted_by_seed_and_start() -> None:
    files = {"shelm-0-S13.json": run("shelm", 0, 0.5, env="S13"), "shelm-1-S13.json": run("shelm", 1, 1.0, env="S13")}
    assert "| S13 | 2 | noise 8 | 0.75 (0.50, 1.00) |" in zero_shot(files)
