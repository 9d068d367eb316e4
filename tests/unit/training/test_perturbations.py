"""Perturbations of frames: what each does to pixels."""

import numpy as np
import pytest

from training.perturbations import PERTURBATIONS, brightness, channels, gain, jpeg, noise, occlude, saturate, shift

FRAME = np.random.default_rng(0).integers(0, 256, (56, 48, 3)).astype(np.uint8)
GREY = np.full((56, 48, 3), 128, np.uint8)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_the_result_is_a_frame_of_the_same_size_and_the_given_one_is_untouched(name: str) -> None:
    before = FRAME.copy()
    after = PERTURBATIONS[name](FRAME, np.random.default_rng(1))
    assert after.shape == FRAME.shape
    assert after.dtype == np.uint8
    assert np.array_equal(FRAME, before)
    assert np.array_equal(after, FRAME) == (name == "clean")


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_the_same_generator_gives_the_same_frame(name: str) -> None:
    one, same = (PERTURBATIONS[name](FRAME, np.random.default_rng(1)) for _ in range(2))
    assert np.array_equal(one, same)


def test_noise_has_the_given_deviation() -> None:
    difference = noise(GREY, np.random.default_rng(0), sigma=16).astype(float) - 128
    assert abs(difference.std() - 16) < 0.5
    assert abs(difference.mean()) < 0.5


def test_jpeg_changes_more_at_a_lower_quality() -> None:
    fine, coarse = (np.abs(jpeg(FRAME, quality=quality).astype(int) - FRAME).mean() for quality in (95, 75))
    assert 0 < fine < coarse


def test_brightness_multiplies_and_ends_at_white() -> None:
    assert np.array_equal(brightness(GREY, factor=1.5), np.full_like(GREY, 192))
    assert np.array_equal(brightness(GREY, factor=3), np.full_like(GREY, 255))


@pytest.mark.parametrize("share", [0.05, 0.15])
def test_an_occlusion_covers_its_share_with_one_rectangle(share: float) -> None:
    covered = (occlude(GREY, np.random.default_rng(0), share=share) == 0).all(-1)
    assert covered.mean() == pytest.approx(share, abs=0.01)
    rows, columns = covered.any(1), covered.any(0)
    assert np.array_equal(covered, rows[:, None] & columns[None])


def test_an_occlusion_may_lie_anywhere() -> None:
    rng = np.random.default_rng(0)
    covered = [(occlude(GREY, rng, share=0.15) == 0).all(-1) for _ in range(400)]
    for axis in (0, 1):
        assert np.any([one.any(axis) for one in covered], axis=0).all()


def test_a_shift_moves_the_content_and_repeats_the_edge() -> None:
    moved = shift(FRAME, right=2, down=-1)
    assert np.array_equal(moved[:-1, 2:], FRAME[1:, :-2])
    assert np.array_equal(moved[:-1, 0], FRAME[1:, 0])
    assert np.array_equal(moved[-1, 2:], FRAME[-1, :-2])


def test_colours_change_as_named() -> None:
    assert np.array_equal(channels(FRAME, order=(2, 1, 0)), FRAME[..., ::-1])
    grey = saturate(FRAME, factor=0)
    assert (grey == grey[..., :1]).all()
    assert np.array_equal(saturate(FRAME, factor=1), FRAME)
    assert gain(GREY, factors=(0.5, 1.0, 1.5))[0, 0].tolist() == [64, 128, 192]
