"""Means and shares by cluster: what Student's t is, what repeated starts are worth, what one start cannot tell."""

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped]
from shelm.gym.intervals import clustered, student, wilson


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 9, 15, 31, 39, 151, 1999])
def test_the_quantile_is_students(degrees: int) -> None:
    assert student(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=2e-3 if degrees < 5 else 2e-4)


def test_with_one_episode_from_each_start_the_error_is_that_of_the_mean() -> None:
    values = [0.0, 1.0, 0.5, 0.25, 1.0]
    mean, error, interval = clustered(values, range(5))
    assert mean == 0.55
    assert error == pytest.approx(stats.sem(values))
    assert interval == pytest.approx(stats.t.interval(0.95, 4, loc=0.55, scale=error), abs=1e-3)


def test_repeated_starts_make_nothing_more_certain() -> None:
    values, starts = [0.0, 1.0, 0.5], [7, 8, 9]
    assert clustered(values * 20, starts * 20).standard_error == pytest.approx(clustered(values, starts).standard_error)
    assert clustered(values * 20, range(60)).standard_error == pytest.approx(0.053, abs=1e-3)


def test_the_residuals_of_a_start_count_together() -> None:
    # Mean 0.4; residuals by start -0.8, 1.2 and -0.4: squares 2.24, times 3/2, root 1.8330, over 5 episodes.
    assert clustered([0, 0, 1, 1, 0], "aabbc").standard_error == pytest.approx(0.36661, abs=1e-5)


def test_a_single_start_tells_no_error_and_no_episode_no_mean() -> None:
    assert clustered([0.5, 1.0], ["a", "a"]) == (0.75, None, None)
    with pytest.raises(ValueError, match="values"):
        clustered([], [])


@pytest.mark.parametrize(("share", "count"), [(0.0, 16), (1.0, 32), (0.625, 16), (0.5, 400)])
def test_the_interval_of_a_share_is_wilsons(share: float, count: int) -> None:
    found = stats.binomtest(round(share * count), count).proportion_ci(method="wilson")
    assert np.array(wilson(share, count)) == pytest.approx(np.array(found), abs=1e-6)
