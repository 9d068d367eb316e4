"""Statistics of scores and learning curves; a score is a run's mean return over its evaluation episodes.

Failure policy: functions never return a value that is not finite; they return None where a value is undefined.
"""

import warnings
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from rliable import library, metrics  # type: ignore[import-untyped]
from scipy import stats  # type: ignore[import-untyped]

from training.report.raw import Result

REPETITIONS = 2000
SHARE = 0.8
FEWEST = 3  # runs of each side, for a test
WARM_UP = 25_000  # steps; more than 32 rows x the longest episode of a task that has a goal (720 steps)
# Highest returns other than 1; None: unbounded. In these environments a return above 0 does not mean success.
HIGHEST: dict[str, float | None] = {
    "MiniWorld-PickupObjects-v0": 5.0,
    "MiniWorld-CollectHealth-v0": None,
    "MiniWorld-SignVaryingTraining-v0": None,
    "MiniWorld-SignColourTraining-v0": None,
    "shelm/ContinuousRecognition-v0": 60.0,
}


class Welch(NamedTuple):
    """Result of Welch's t test; `difference` is the mean of the first minus the mean of the second."""

    difference: float
    t: float
    degrees: float
    p: float


def interquartile_mean(scores: Sequence[float]) -> float:
    """Returns the 25 % trimmed mean; for three scores or fewer, the mean."""
    return float(metrics.aggregate_iqm(np.array(scores)[:, None]))


def interval(scores: Sequence[float]) -> tuple[float, float]:
    """Returns the 95 % stratified bootstrap interval of the interquartile mean over runs; deterministic."""
    return _interval(tuple(scores))


@cache
def _interval(scores: tuple[float, ...]) -> tuple[float, float]:
    np.random.seed(0)  # rliable 1.2.0 draws from numpy's global generator, whatever random_state it is given
    table = {"runs": np.array(scores)[:, None]}
    _, intervals = library.get_interval_estimates(
        table, lambda drawn: np.array([metrics.aggregate_iqm(drawn)]), reps=REPETITIONS
    )
    low, high = intervals["runs"][:, 0]
    return float(low), float(high)


def welch(first: Sequence[float], second: Sequence[float]) -> Welch | None:
    """Returns the test, or None with fewer than `FEWEST` scores on a side, or if neither side has any variance."""
    if min(len(first), len(second)) < FEWEST or np.ptp(first) == np.ptp(second) == 0:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # one side may have no variance
        test = stats.ttest_ind(first, second, equal_var=False)
    return Welch(float(np.mean(first) - np.mean(second)), float(test.statistic), float(test.df), float(test.pvalue))


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p values corrected for multiple tests (Holm's step-down method), in the given order."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    corrected = np.minimum(np.maximum.accumulate(np.array(p_values)[order] * factors), 1.0)
    return [float(corrected[np.flatnonzero(order == i)[0]]) for i in range(len(p_values))]


def steps_to(result: Result) -> int | None:
    """Returns the steps at which the curve reaches 0.8 of the highest return, after the warm-up; None if it does not.

    Also returns None if the curve is of an environment that is used for training only. During the warm-up only episodes that
    ended early are in the mean, and those are the successful ones.
    """
    highest = HIGHEST.get(result.curve_of, 1.0)
    if highest is None:
        return None
    reached = (result.steps >= WARM_UP) & (result.curve >= SHARE * highest)
    return int(result.steps[reached][0]) if reached.any() else None
