"""What is computed from scores and learning curves; a score is a run's mean return over its evaluation episodes.

Failure policy: none of these returns a value that is not finite; what cannot be said is None.
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
WARM_UP = 25_000  # steps; more than 32 rows x the longest episode of a task that has a goal (720 steps)
# Returns that are not 1 at best; None: there is no best. In these a return above 0 is no success either.
HIGHEST: dict[str, float | None] = {
    "MiniWorld-PickupObjects-v0": 5.0,
    "MiniWorld-CollectHealth-v0": None,
    "MiniWorld-SignVaryingTraining-v0": None,
    "MiniWorld-SignColourTraining-v0": None,
    "shelm/ContinuousRecognition-v0": 60.0,
}


class Welch(NamedTuple):
    """Welch's t test; `difference` is of the means, first less second."""

    difference: float
    t: float
    degrees: float
    p: float


def interquartile_mean(scores: Sequence[float]) -> float:
    """25 % trimmed mean; of three scores or fewer it is the mean."""
    return float(metrics.aggregate_iqm(np.array(scores)[:, None]))


def interval(scores: Sequence[float]) -> tuple[float, float]:
    """95 % stratified bootstrap interval of the interquartile mean over runs; the same for the same scores."""
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
    """None with fewer than two scores on a side, or where neither side has any spread."""
    if min(len(first), len(second)) < 2 or np.ptp(first) == np.ptp(second) == 0:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # one side without spread is no harm to the test
        test = stats.ttest_ind(first, second, equal_var=False)
    return Welch(float(np.mean(first) - np.mean(second)), float(test.statistic), float(test.df), float(test.pvalue))


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for their number (Holm's step-down method), in the order given."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    corrected = np.minimum(np.maximum.accumulate(np.array(p_values)[order] * factors), 1.0)
    return [float(corrected[np.flatnonzero(order == i)[0]]) for i in range(len(p_values))]


def steps_to(result: Result) -> int | None:
    """Steps at the first logged line after the warm-up at which the curve is at 0.8 of the highest return; else None.
    None also where the curve is of an environment for training alone.

    In the first lines only episodes that ended early are in the mean, and what ends early has reached its goal.
    """
    highest = HIGHEST.get(result.curve_of, 1.0)
    if highest is None:
        return None
    reached = (result.steps >= WARM_UP) & (result.curve >= SHARE * highest)
    return int(result.steps[reached][0]) if reached.any() else None
