"""Reads what a service tells Prometheus (the text form of /metrics), and what lies between two readings.

Contract: only the samples that are wanted are kept. Counters that have become smaller belong to a process that has
started again: all that they count is new.
"""

import math
import re
from collections.abc import Iterable, Mapping

Labels = tuple[tuple[str, str], ...]
Samples = dict[tuple[str, Labels], float]  # (name, labels in alphabetical order) -> value
_LINE = re.compile(r"^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def read_samples(text: str, wanted: Iterable[str]) -> Samples:
    """Returns the samples of these names; lines that are none are passed over."""
    names, found = frozenset(wanted), Samples()
    for line in text.splitlines():
        match = _LINE.match(line)
        if match and match[1] in names:
            value = _number(match[3])
            if value is not None:
                found[match[1], tuple(sorted(_LABEL.findall(match[2] or "")))] = value
    return found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def since(now: Samples, before: Mapping[tuple[str, Labels], float]) -> Samples:
    """Returns by how much counters have grown."""
    return {key: value - old if value >= (old := before.get(key, 0.0)) else value for key, value in now.items()}


def quantile(share: float, buckets: Mapping[float, float]) -> float | None:
    """Returns the quantile of a histogram, linear within a bucket; None if it counts nothing.

    buckets: upper bound -> how many are at most that. Beyond the last finite bound it is that bound.
    """
    bounds = sorted(buckets)
    if not bounds or not (total := buckets[bounds[-1]]):
        return None
    rank, low, below = share * total, 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            if math.isinf(bound):
                return low
            inside = buckets[bound] - below
            return low + (bound - low) * ((rank - below) / inside if inside else 1.0)
        low, below = bound, buckets[bound]
    return low
