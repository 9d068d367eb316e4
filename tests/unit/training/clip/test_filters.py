"""Filters of frames before retrieval."""

import numpy as np
import pytest

from training.clip.filters import FILTERS, levelled, median, quantised, stretched
from training.perturbations import brightness

FRAME = np.random.default_rng(0).integers(0, 120, (20, 16, 3)).astype(np.uint8)


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_gives_a_frame_of_the_same_size(name: str) -> None:
    found = FILTERS[name](FRAME)
    assert found.shape == FRAME.shape
    assert found.dtype == np.uint8


def test_a_median_removes_a_single_value_and_keeps_channels_apart() -> None:
    frame = np.full((9, 9, 3), (10, 20, 30), np.uint8)
    spotted = frame.copy()
    spotted[4, 4] = 255
    assert np.array_equal(median(spotted), frame)


def test_quantised_values_are_few_and_near() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    found = quantised(values)
    assert len(np.unique(found)) == 9
    assert np.abs(found.astype(int) - values).max() <= 17


def test_filters_of_brightness_undo_it() -> None:
    darker = brightness(FRAME, factor=0.5)
    for one in (stretched, levelled):
        assert np.abs(one(darker).astype(int) - one(FRAME)).max() <= 6
    assert stretched(darker).max() == 255
