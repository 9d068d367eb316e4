"""A difference that a stranger could measure is seen, and noise is not."""

import numpy as np
import pytest

from benchmarks.unknown_names import summary

CALLS = 2000


@pytest.mark.parametrize(("planted_us", "seen"), [(0, False), (60, True), (-60, True)])
def test_a_planted_difference_is_seen_and_noise_is_not(planted_us: float, seen: bool) -> None:
    choose = np.random.default_rng(0)
    seconds = {kind: 0.002 + choose.exponential(3e-4, CALLS) for kind in ("theirs", "nobodys", "control")}
    seconds["theirs"] += planted_us / 1e6
    row = summary("GetEpisode", seconds)
    assert row["seen"] is seen
    difference, low, high = row["difference_us"]
    assert low <= difference <= high
    assert abs(difference - planted_us) < 30
