"""Augmentations of the frames on which a small CLIP is trained, so that its words survive them.

Contract: `condition` draws how a camera is, `augment` draws that for each frame anew; both are pure functions of their
arguments and the generator. A share of the frames stays as it is; each of the others gets every perturbation with the same
probability, in the order in which they happen on the way from a scene to the agent: something before the lens, the camera's
place, its colours and light, its noise, its encoding. "strong" keeps colours recognisable; "colourless" does not, for words
that name none; "lasting" is meant for whole episodes (training.perturbed_memory). Failure policy: an unknown strength raises
KeyError.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from training.perturbations import (
    Frame,
    Perturbation,
    alone,
    brightness,
    channels,
    gain,
    jpeg,
    noise,
    occlude,
    saturate,
    shift,
)


@dataclass(frozen=True)
class Strength:
    """How far augmentations go.

    perturbed: share of frames that are augmented at all. each: probability of each perturbation in them. noise: largest
    standard deviation, of 255. light: limits of the factor of brightness. gain: largest deviation of a channel's factor from
    1. saturation: limits. reordered: probability of another order of the channels. quality: lowest of JPEG. occluded:
    largest share of the frame. shifted: largest number of pixels.
    """

    perturbed: float
    each: float
    noise: float
    light: tuple[float, float]
    gain: float
    saturation: tuple[float, float]
    reordered: float
    quality: int
    occluded: float
    shifted: int
    lasts: bool = False  # a camera is drawn for an episode, not for each frame


_STRONG = Strength(0.75, 0.35, 40, (0.3, 1.8), 0.2, (0.5, 1.5), 0.0, 50, 0.2, 2)
STRENGTHS: dict[str, Strength] = {
    "mild": Strength(0.5, 0.3, 16, (0.7, 1.3), 0.1, (0.8, 1.2), 0.0, 75, 0.06, 1),
    "strong": _STRONG,
    "lasting": Strength(1.0, 0.2, 20, (0.45, 1.6), 0.1, (0.7, 1.3), 0.0, 60, 0.1, 1, lasts=True),
    "colourless": replace(_STRONG, saturation=(0.0, 1.5), reordered=0.2),
}
COLOURS_KEPT = ("mild", "strong", "lasting")


def augment(strength: str, frames: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Returns augmented frames uint8 (rows, height, width, 3)."""
    limits = STRENGTHS[strength]
    return np.stack([augmented(frame, rng, limits=limits) for frame in frames])


def augmented(frame: Frame, rng: np.random.Generator, *, limits: Strength) -> Frame:
    """Returns one frame as a camera of its own sees it, or as it is."""
    return condition(limits, rng)(frame, rng) if rng.random() < limits.perturbed else frame


def condition(limits: Strength, rng: np.random.Generator) -> Perturbation:
    """Draws which perturbations a camera has, and how much of each; what differs from frame to frame it leaves to them."""
    happens: list[Perturbation] = []
    occluded, shifted, coloured, lit, noisy, encoded = rng.random(6) < limits.each
    if occluded:
        colour = tuple(rng.integers(256, size=3).tolist()) if rng.random() < 0.5 else (0, 0, 0)
        happens.append(partial(occlude, share=rng.uniform(0.01, limits.occluded), colour=colour))
    if shifted:
        right, down = rng.integers(-limits.shifted, limits.shifted + 1, size=2).tolist()
        happens.append(alone(shift, right=right, down=down))
    if coloured:
        happens += _colours(limits, rng)
    if lit:
        happens.append(alone(brightness, factor=rng.uniform(*limits.light)))
    if noisy:
        happens.append(partial(noise, sigma=rng.uniform(0, limits.noise)))
    if encoded:
        happens.append(alone(jpeg, quality=int(rng.integers(limits.quality, 100))))

    def perturb(frame: Frame, rng: np.random.Generator) -> Frame:
        for one in happens:
            frame = one(frame, rng)
        return frame

    return perturb


def _colours(limits: Strength, rng: np.random.Generator) -> list[Perturbation]:
    drawn = [alone(gain, factors=tuple(rng.uniform(1 - limits.gain, 1 + limits.gain, 3).tolist()))]
    # Half of those that may lose their colours lose them wholly: a uniform draw would hardly ever.
    grey = limits.saturation[0] == 0 and rng.random() < 0.3
    drawn.append(alone(saturate, factor=0.0 if grey else rng.uniform(*limits.saturation)))
    if rng.random() < limits.reordered:
        drawn.append(alone(channels, order=tuple(rng.permutation(3).tolist())))
    return drawn
