"""What turns measured times into figures: percentiles, ratios of rounds, arrivals of an open loop, mean batches.

Contract: pure functions; times are seconds unless a name says otherwise. Failure policy: none of its own.
"""

import statistics
from collections.abc import Mapping, Sequence

import numpy as np

PERCENTILES = (50, 95, 99)


def percentiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    """Returns p50, p95 and p99 in milliseconds, interpolated linearly; zeros where nothing was measured."""
    if not seconds:
        return {f"p{p}_ms": 0.0 for p in PERCENTILES}
    found = np.percentile(np.asarray(seconds), PERCENTILES) * 1000
    return {f"p{p}_ms": round(float(value), 3) for p, value in zip(PERCENTILES, found, strict=True)}


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Returns the median over the rounds of ours / theirs: each round is compared with its own neighbour alone."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def poisson_arrivals(rate: float, duration: float, seed: int) -> list[float]:
    """Returns the times, from 0 to `duration`, of a Poisson process with `rate` arrivals a second."""
    draws = np.random.default_rng(seed)
    arrivals: list[float] = []
    now = float(draws.exponential(1 / rate))
    while now < duration:
        arrivals.append(now)
        now += float(draws.exponential(1 / rate))
    return arrivals


def saturated(offered: float, done: float, failed: int) -> bool:
    """Whether a server that was offered a rate could not keep up with it, or refused some."""
    return failed > 0 or done < 0.9 * offered


def mean_batches(before: Mapping[str, tuple[float, float]], after: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Returns the mean items of the batches between two readings, by queue. readings: (items, batches) since the start."""
    found = {}
    for queue, (items, batches) in after.items():
        items0, batches0 = before.get(queue, (0.0, 0.0))
        if batches > batches0:
            found[queue] = round((items - items0) / (batches - batches0), 2)
    return found


def medians(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Returns the median of every field over the rounds."""
    return {key: round(statistics.median(row[key] for row in rows), 3) for key in rows[0]}
