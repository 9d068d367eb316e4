"""Pillow's resize as matrix products: the same pixels, bit by bit."""

import numpy as np
import pytest
import torch
from PIL import Image

from agent.retrieval.resize import ExactResize, Filter, columns_first, resize_matrix

# MiniWorld squashed, MiniGrid to the size of ViT-B/16, Atari's width halved, and all four directions.
SIZES = [
    ((60, 80), (64, 64)),
    ((56, 56), (224, 224)),
    ((210, 160), (210, 80)),
    ((80, 80), (56, 56)),
    ((60, 80), (42, 56)),
    ((7, 99), (3, 20)),
    ((40, 30), (64, 20)),
    ((9, 9), (9, 5)),
    ((5, 6), (8, 6)),
]


def pictures(height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Noise, black with white lines (the sums of the filter overshoot on both sides), and one colour."""
    noise = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    noise[1] = 0
    noise[1, ::3] = 255
    noise[2] = (3, 128, 255)
    return noise


@pytest.mark.parametrize("kind", ["bicubic", "bilinear"])
@pytest.mark.parametrize(("before", "after"), SIZES)
def test_pixels_are_pillows_bit_by_bit(before: tuple[int, int], after: tuple[int, int], kind: Filter) -> None:
    given = pictures(*before)
    assert columns_first(before, after)
    resize = ExactResize(before, after, kind, torch.device("cpu"))
    ours = resize(torch.from_numpy(given).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    filters = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
    expected = [np.asarray(Image.fromarray(one).resize(after[::-1], filters[kind])) for one in given]
    assert np.array_equal(ours, np.stack(expected))


def test_any_pair_of_sizes_is_exact_or_left_to_pillow() -> None:
    sizes, exact = np.random.default_rng(1).integers(5, 90, (150, 4)), 0
    for height, width, above, across in sizes.tolist():
        before, after = (height, width), (above, across)
        if columns_first(before, after):
            test_pixels_are_pillows_bit_by_bit(before, after, "bicubic")
            exact += 1
    assert exact > 75


def test_weights_are_whole_numbers_that_float64_adds_without_rounding() -> None:
    for before, after in [(80, 64), (28, 224), (4096, 10)]:
        weights = resize_matrix(before, after, "bicubic")
        assert torch.equal(weights, weights.round())
        assert weights.abs().sum(1).max() * 255 < 2**53
