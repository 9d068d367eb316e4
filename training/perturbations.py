"""Perturbations of a frame: what happens to pixels between a simulator and an agent.

Contract: pure functions of uint8 (height, width, 3) that return a new frame of the same shape; those that draw take a
generator, and the same generator state gives the same frame. `PERTURBATIONS` has those of training.robustness by name; the
augmentations of training.clip.augment are made of the same functions. Failure policy: a quality or share out of range
raises the error of Pillow or numpy.
"""

from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Frame = NDArray[np.uint8]  # (height, width, 3)
Perturbation = Callable[[Frame, np.random.Generator], Frame]


def rounded(values: NDArray[Any]) -> Frame:
    """Rounds to uint8; what is out of range becomes 0 or 255."""
    pixels: Frame = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return pixels


def noise(frame: Frame, rng: np.random.Generator, *, sigma: float) -> Frame:
    """Adds independent Gaussian noise with standard deviation `sigma`, of 255, to every value."""
    return rounded(frame + np.float32(sigma) * rng.standard_normal(frame.shape, np.float32))


def jpeg(frame: Frame, *, quality: int) -> Frame:
    """Encodes and decodes with Pillow's JPEG, at half the resolution of colour, its default."""
    buffer = BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def brightness(frame: Frame, *, factor: float) -> Frame:
    """Multiplies all values."""
    return rounded(frame * np.float32(factor))


def occlude(frame: Frame, rng: np.random.Generator, *, share: float, colour: tuple[int, ...] = (0, 0, 0)) -> Frame:
    """Covers `share` of the frame with a rectangle of its proportions, of one colour, at a random place inside it."""
    height, width = (round(side * share**0.5) for side in frame.shape[:2])
    top, left = (int(rng.integers(side - size + 1)) for side, size in zip(frame.shape[:2], (height, width), strict=True))
    covered = frame.copy()
    covered[top : top + height, left : left + width] = colour
    return covered


def shift(frame: Frame, *, right: int, down: int) -> Frame:
    """Moves the content by whole pixels; the pixels of the edge are repeated."""
    height, width = frame.shape[:2]
    rows, columns = (np.clip(np.arange(side) - by, 0, side - 1) for side, by in ((height, down), (width, right)))
    return frame[rows[:, None], columns]


def channels(frame: Frame, *, order: tuple[int, ...]) -> Frame:
    """Returns the channels in another order; (2, 1, 0) is BGR."""
    return np.ascontiguousarray(frame[..., list(order)])


def saturate(frame: Frame, *, factor: float) -> Frame:
    """Moves colours away from their grey (ITU-R 601) by `factor`; 0 gives grey, 1 the same frame."""
    grey = (frame @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
    return rounded(grey + np.float32(factor) * (frame - grey))


def gain(frame: Frame, *, factors: tuple[float, ...]) -> Frame:
    """Multiplies each channel by a factor of its own, as another white balance does."""
    return rounded(frame * np.array(factors, np.float32))


def shift_at_random(frame: Frame, rng: np.random.Generator, *, pixels: int) -> Frame:
    """Moves the content by `pixels` to the right, left, down or up."""
    right, down = ((pixels, 0), (-pixels, 0), (0, pixels), (0, -pixels))[rng.integers(4)]
    return shift(frame, right=right, down=down)


def alone(perturb: Callable[..., Frame], **settings: Any) -> Perturbation:
    """Returns a perturbation that draws nothing."""
    return lambda frame, rng: perturb(frame, **settings)


PERTURBATIONS: dict[str, Perturbation] = {
    "clean": lambda frame, rng: frame,
    **{f"noise {sigma}": partial(noise, sigma=sigma) for sigma in (8, 16, 32)},
    **{f"JPEG {quality}": alone(jpeg, quality=quality) for quality in (95, 75, 50)},
    **{f"brightness {factor}": alone(brightness, factor=factor) for factor in (0.5, 0.75, 1.25, 1.5)},
    **{f"occlusion {percent} %": partial(occlude, share=percent / 100) for percent in (5, 15, 30)},
    "shift 1": partial(shift_at_random, pixels=1),
    "BGR": alone(channels, order=(2, 1, 0)),
    "hue 120": alone(channels, order=(1, 2, 0)),  # degrees
    "grey": alone(saturate, factor=0),
}
