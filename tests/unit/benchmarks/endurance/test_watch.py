"""A leak is seen as a slope, noise is not."""

import numpy as np
import pytest

from benchmarks.endurance.watch import LEAST, PROCESS, SMALLEST, growing, trend


def series(values: list[float], quantity: str) -> dict[str, object]:
    """A watched process of which one quantity has these values, a second apart."""
    return {"second": [float(i) for i in range(len(values))], "policy": {quantity: values}}


def test_a_trend_is_that_of_the_second_half() -> None:
    values = [500.0 - i for i in range(50)] + [100.0 + i for i in range(51)]
    assert trend(list(range(101)), values) == {"level": 125.0, "per_hour": 3600.0, "growth": 50.0, "share": 0.4}


@pytest.mark.parametrize("values", [[], [1.0], [0.0, 0.0]])
def test_a_series_with_nothing_in_it_has_no_trend(values: list[float]) -> None:
    assert trend(list(range(len(values))), values)["growth"] == 0.0


@pytest.mark.parametrize("quantity", SMALLEST)
def test_a_leak_is_named_and_noise_is_not(quantity: str) -> None:
    noise = [1000.0 + one for one in np.random.default_rng(0).normal(0.0, 3.0, 2 * LEAST)]
    leak = [value + i for i, value in enumerate(noise)]
    assert growing(series(noise, quantity)) == []
    assert [one.startswith(f"policy {quantity} grew by") for one in growing(series(leak, quantity))] == [True]
    assert growing(series(leak[: LEAST - 1], quantity)) == []  # too short to tell


def test_what_depends_on_other_programs_is_not_judged() -> None:
    assert "pss_mb" in PROCESS
    assert growing(series([float(i) for i in range(2 * LEAST)], "pss_mb")) == []
