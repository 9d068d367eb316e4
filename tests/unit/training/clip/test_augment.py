"""Augmentations of the frames that a small CLIP is trained on."""

import numpy as np
import pytest

from training.clip.augment import COLOURS_KEPT, STRENGTHS, augment
from training.clip.scenes import draw_view
from training.clip.tiles import render


def frames(count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return render(np.stack([draw_view(rng) for _ in range(count)]))


@pytest.mark.parametrize("strength", STRENGTHS)
def test_about_the_stated_share_of_the_frames_is_changed(strength: str) -> None:
    given = frames(400)
    changed = (augment(strength, given, np.random.default_rng(1)) != given).any((1, 2, 3)).mean()
    limits = STRENGTHS[strength]
    # Of the six perturbations at least one is drawn; a shift by nothing or the cover of what is black may change nothing.
    expected = limits.perturbed * (1 - (1 - limits.each) ** 6)
    assert expected - 0.1 < changed < expected + 0.06


@pytest.mark.parametrize("strength", STRENGTHS)
def test_the_same_generator_gives_the_same_frames(strength: str) -> None:
    given = frames(20)
    one, same = (augment(strength, given, np.random.default_rng(1)) for _ in range(2))
    assert one.shape == given.shape
    assert one.dtype == np.uint8
    assert np.array_equal(one, same)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_green_stays_green_where_colours_are_kept(strength: str) -> None:
    green = np.broadcast_to(np.array([40, 220, 40], np.uint8), (200, 56, 56, 3))
    means = augment(strength, green, np.random.default_rng(1)).mean((1, 2))
    still = (means.argmax(1) == 1).all() and (np.ptp(means, axis=1) > 10).all()
    assert still == (strength in COLOURS_KEPT)
