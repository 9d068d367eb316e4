"""One row of distribution parameters -> the distribution over actions that it stands for, and its entropy in nats.

The rows are those of agent.policy.heads. A normal distribution is the one before its actions are clipped to their bounds, so
its entropy, a differential one, may be negative. The functions are pure and raise no errors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import e, log, pi

import numpy as np
from numpy.typing import NDArray

from agent.policy.heads import Head, Row, log_softmax

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Categorical:
    """The probability of each discrete action, float64 (actions,)."""

    probabilities: Values

    @property
    def entropy(self) -> float:
        """In nats, 0 or more."""
        present = self.probabilities[self.probabilities > 0]
        return max(0.0, -float((present * np.log(present)).sum()))


@dataclass(frozen=True, eq=False)
class Normal:
    """A normal distribution of independent dimensions: its mean and standard deviation, float64 (dimensions,) each."""

    mean: Values
    deviation: Values

    @property
    def entropy(self) -> float:
        """In nats; of the density."""
        return float(np.log(self.deviation).sum()) + len(self.mean) * log(2 * pi * e) / 2


Single = Categorical | Normal
Distribution = Single | dict[str, Single]  # a dict of a dict action space, by the names of its parts


def distribution_of(heads: Sequence[Head], row: Row) -> Distribution:
    """Returns the distribution over actions of one row."""
    parts = {head.name: _single(head, row) for head in heads}
    return parts.get("", parts)


def entropy_of(distribution: Distribution) -> float:
    """Returns the entropy in nats; of a dict, whose parts are independent, the sum of theirs."""
    parts = distribution.values() if isinstance(distribution, dict) else (distribution,)
    return sum(part.entropy for part in parts)


def _single(head: Head, row: Row) -> Single:
    outputs = row[head.outputs]
    if head.bounds:
        return Normal(outputs.astype(np.float64), np.exp(row[head.deviations].astype(np.float64)))
    return Categorical(np.exp(log_softmax(outputs)))
