"""Figures that a reader relies on, from times whose figures are known."""

import statistics

import pytest

from benchmarks.figures import mean_batches, medians, paired_ratio, percentiles_ms, poisson_arrivals, saturated


def test_percentiles_are_interpolated_and_in_milliseconds() -> None:
    assert percentiles_ms([i / 1000 for i in range(101)]) == {"p50_ms": 50.0, "p95_ms": 95.0, "p99_ms": 99.0}
    assert percentiles_ms([0.003, 0.001])["p50_ms"] == 2.0


def test_nothing_measured_has_no_percentiles() -> None:
    assert percentiles_ms([]) == {"p50_ms": 0.0, "p95_ms": 0.0, "p99_ms": 0.0}


def test_a_ratio_compares_each_round_with_its_own_neighbour() -> None:
    """The machine was ten times slower in the second round, for both: that must not count."""
    assert paired_ratio([2.0, 20.0, 2.0], [1.0, 10.0, 1.0]) == 2.0
    assert paired_ratio([1.0, 30.0, 3.0], [1.0, 10.0, 1.0]) == 3.0
    with pytest.raises(ValueError, match="shorter"):
        paired_ratio([1.0, 2.0], [1.0])


def test_arrivals_are_a_poisson_process() -> None:
    arrivals = poisson_arrivals(50.0, 200.0, seed=1)
    gaps = [b - a for a, b in zip([0.0, *arrivals], arrivals, strict=False)]
    assert arrivals == sorted(arrivals)
    assert arrivals[-1] < 200
    assert len(arrivals) == pytest.approx(10_000, rel=0.05)
    assert statistics.fmean(gaps) == pytest.approx(1 / 50, rel=0.05)
    assert statistics.stdev(gaps) == pytest.approx(1 / 50, rel=0.1)  # as large as the mean, unlike even arrivals


def test_arrivals_are_those_of_the_seed() -> None:
    assert poisson_arrivals(10, 5, seed=3) == poisson_arrivals(10, 5, seed=3) != poisson_arrivals(10, 5, seed=4)


@pytest.mark.parametrize(("done", "failed", "expected"), [(100, 0, False), (91, 0, False), (89, 0, True), (100, 1, True)])
def test_a_server_that_falls_behind_or_refuses_is_saturated(done: float, failed: int, expected: bool) -> None:
    assert saturated(100, done, failed) is expected


def test_mean_batches_are_of_the_time_between_the_readings() -> None:
    before = {"memory": (100.0, 100.0), "idle": (5.0, 5.0)}
    after = {"memory": (140.0, 110.0), "idle": (5.0, 5.0), "new": (6.0, 2.0)}
    assert mean_batches(before, after) == {"memory": 4.0, "new": 3.0}


def test_medians_are_of_every_field() -> None:
    assert medians([{"a": 1.0, "b": 5.0}, {"a": 9.0, "b": 6.0}, {"a": 2.0, "b": 7.0}]) == {"a": 2.0, "b": 6.0}
