"""Means, shares and their 95 % intervals when episodes are not independent: those from one start are alike.

Contract: what is counted is the number of distinct starts (clusters), not of episodes, so playing a start twice makes
nothing more certain. Numbers in and out, no environment and no server: `shelm evaluate` and the evaluation of a training
share it. Failure policy: what a single start cannot tell is None; no values at all raise ValueError.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from shelm.shares import NORMAL, wilson

__all__ = ["NORMAL", "Mean", "clustered", "student", "wilson"]


class Mean(NamedTuple):
    """A mean over episodes; error and interval by cluster, None if there is only one."""

    mean: float
    standard_error: float | None
    interval: tuple[float, float] | None


def clustered(values: Sequence[float], clusters: Sequence[Hashable]) -> Mean:
    """Returns the mean of all values with the cluster-robust standard error (the residuals of a cluster count as one,
    corrected by n / (n - 1) for n clusters) and Student's interval with n - 1 degrees of freedom.
    """
    if not values:
        raise ValueError("values: expected one or more")
    mean = sum(values) / len(values)
    residuals: dict[Hashable, float] = defaultdict(float)
    for value, cluster in zip(values, clusters):
        residuals[cluster] += value - mean
    count = len(residuals)
    if count < 2:
        return Mean(mean, None, None)
    error = (sum(one**2 for one in residuals.values()) * count / (count - 1)) ** 0.5 / len(values)
    reach = student(count - 1) * error
    return Mean(mean, error, (mean - reach, mean + reach))


def student(degrees: int) -> float:
    """Returns the quantile of 97.5 % of Student's t: exact for 1 and 2 degrees of freedom, else by its expansion around the
    normal quantile (Abramowitz and Stegun 26.7.5), to 0.2 % and better.
    """
    if degrees < 3:
        return {1: 12.706205, 2: 4.302653}[degrees]
    z = NORMAL
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / float(degrees) ** power for power, term in enumerate(terms))
