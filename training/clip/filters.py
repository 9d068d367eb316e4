"""Filters of a frame before retrieval, which need no training: studied in docs/results/robustness.md.

Contract: pure functions of uint8 (height, width, 3). Failure policy: raises no errors of its own.
"""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import median_filter  # type: ignore[import-untyped]

from training.perturbations import Frame, rounded


def median(frame: Frame) -> Frame:
    """Replaces each value by the median of its 3 x 3 neighbours in its channel."""
    filtered: Frame = median_filter(frame, size=(3, 3, 1), mode="nearest")
    return filtered


def quantised(frame: Frame) -> Frame:
    """Rounds values to the nearest of 9 levels, 0 to 255."""
    return rounded(np.rint(frame / 32) * 32)


def stretched(frame: Frame) -> Frame:
    """Multiplies all values so that the brightest is 255."""
    return rounded(frame * (255 / max(int(frame.max()), 1)))


def levelled(frame: Frame) -> Frame:
    """Multiplies all values so that their mean is 64, as of a typical frame of MiniGrid; what exceeds 255 becomes 255."""
    return rounded(frame * (64 / max(float(frame.mean()), 1)))


FILTERS: dict[str, Callable[[Frame], Frame]] = {
    "none": lambda frame: frame,
    "median": median,
    "quantised": quantised,
    "stretched": stretched,
    "levelled": levelled,
}
