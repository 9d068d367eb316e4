"""The measuring functions give a row for every part, window and batch."""

from pathlib import Path

import pytest
import torch

from benchmarks.bundles import tiny_bundle
from benchmarks.gpu.engines import Setup, measured, pipeline_rows, policy_rows
from benchmarks.gpu.roofline import Work

SETUP = Setup("cpu", "float32", (1, 3), 2, bandwidth=1e9, rate=1e9)


def test_a_batch_that_does_not_fit_is_a_row_with_its_error() -> None:
    def work() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    row = measured(SETUP, work, Work(1, 1), 512, part="memory", window=511)
    assert row == {"part": "memory", "window": 511, "batch": 512, "error": "CUDA out of memory"}


@pytest.mark.parametrize("cached", [True, False])
def test_the_pipeline_acts_at_every_batch(tmp_path: Path, cached: bool) -> None:
    rows = list(pipeline_rows(tiny_bundle(tmp_path / "tiny"), SETUP, cached=cached))
    assert [row["batch"] for row in rows] == [1, 3]
    assert all(row["rate"] > 0 and row["p99_ms"] >= row["p50_ms"] for row in rows)


def test_the_policy_is_measured_at_every_batch(tmp_path: Path) -> None:
    assert [row["batch"] for row in policy_rows(tiny_bundle(tmp_path / "tiny"), SETUP)] == [1, 3]
