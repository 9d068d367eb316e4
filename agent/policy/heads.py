"""Action heads: one row of distribution parameters -> an action and its log-probability.

A row contains the actor's outputs, part by part in the order of `ActionSpace.spaces` (the logits of a discrete part, the
means of a continuous one), then the log standard deviations of all continuous dimensions, which do not depend on the
observation (as in stable-baselines3's DiagGaussian; the paper has only discrete actions).

Contract: a sampled action depends only on (row, episode seed, step): one Philox generator keyed with seed and step is used
for all parts in their order. A continuous action is sampled, then clipped to its bounds; its log-probability is the density
of the sample before clipping, as in training. The log-probability of several parts is the sum of theirs. The functions are
pure and raise no errors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import erf, log, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.action_space import ActionSpace

Part = int | NDArray[np.float32]  # index, or (dimensions,)
Choice = Part | dict[str, Part]
Row = NDArray[np.float32]


@dataclass(frozen=True)
class Head:
    """The position of one part's parameters in a row. bounds: float32 (dimensions,) each, of a continuous part."""

    name: str
    outputs: slice
    deviations: slice
    bounds: tuple[NDArray[np.float32], NDArray[np.float32]] | None


def row_sizes(space: ActionSpace) -> tuple[int, int]:
    """Returns the number of actor outputs, and of log standard deviations, in a row."""
    parts = space.spaces.values()
    return sum(part.size for part in parts), sum(part.size for part in parts if part.continuous)


def action_heads(space: ActionSpace) -> tuple[Head, ...]:
    """Returns the heads of all parts in order; a space that is not a dict has a single head with the name ""."""
    heads, output = list[Head](), 0
    deviation, _ = row_sizes(space)
    for name, part in space.spaces.items():
        outputs, deviations = slice(output, output + part.size), slice(deviation, deviation)
        bounds = part.continuous.arrays() if part.continuous else None
        if bounds:
            deviations = slice(deviation, deviation + part.size)
        heads.append(Head(name, outputs, deviations, bounds))
        output, deviation = outputs.stop, deviations.stop
    return tuple(heads)


def choose(heads: Sequence[Head], row: Row, *, seed: int, step: int, deterministic: bool) -> tuple[Choice, float]:
    """Returns an action and its log-probability; a deterministic action has the most probable index, or the mean, in each
    part.
    """
    draw = None if deterministic else _generator(seed, step)
    parts, log_prob = dict[str, Part](), 0.0
    for head in heads:
        parts[head.name], part_log_prob = _choose_part(head, row, draw)
        log_prob += part_log_prob
    return parts.get("", parts), log_prob


def choose_action(logits: Row, *, seed: int, step: int, deterministic: bool) -> tuple[int, float]:
    """Returns the index and log-probability of an action of a single discrete part, from logits (actions,)."""
    return _choose_index(logits, None if deterministic else _generator(seed, step))


def probabilities(heads: Sequence[Head], row: Row) -> list[float]:
    """Returns the probability of each action if the action space is discrete, otherwise an empty list."""
    if heads[0].name or heads[0].bounds:
        return []
    return [float(value) for value in np.exp(log_softmax(row[heads[0].outputs]))]


def total_variation(heads: Sequence[Head], row: Row, other: Row) -> float:
    """Returns the total variation distance, 0 .. 1, between the action distributions of two rows with the same deviations.

    Exact for a single part. For several parts, which are independent, it is 1 - (1 - d1)(1 - d2)..., an upper bound. For a
    continuous part it is the distance between the distributions before clipping; clipping cannot increase it.
    """
    alike = 1.0
    for head in heads:
        alike *= 1 - _part_distance(head, row, other)
    return 1 - alike


def _part_distance(head: Head, row: Row, other: Row) -> float:
    ours, theirs = row[head.outputs].astype(np.float64), other[head.outputs].astype(np.float64)
    if head.bounds:  # two normal distributions with one covariance: 2 Phi(z / 2) - 1, z their distance in deviations
        apart = np.linalg.norm((ours - theirs) / np.exp(row[head.deviations].astype(np.float64)))
        return erf(float(apart) / (2 * sqrt(2)))
    return float(np.abs(np.exp(log_softmax(ours)) - np.exp(log_softmax(theirs))).sum() / 2)


def log_softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Returns the log-probabilities of one row of logits, float64."""
    shifted = logits.astype(np.float64) - logits.max()
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return result


def _generator(seed: int, step: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, step]))


def _choose_part(head: Head, row: Row, draw: np.random.Generator | None) -> tuple[Part, float]:
    if head.bounds:
        value, log_prob = _choose_vector(row[head.outputs], row[head.deviations], draw)
        return np.clip(value.astype(np.float32), *head.bounds), log_prob
    return _choose_index(row[head.outputs], draw)


def _choose_index(logits: Row, draw: np.random.Generator | None) -> tuple[int, float]:
    log_probs = log_softmax(logits)
    if draw is None:
        action = int(logits.argmax())
    else:
        uniform = draw.random()
        action = int(np.searchsorted(np.cumsum(np.exp(log_probs)), uniform, side="right").clip(0, len(logits) - 1))
    return action, float(log_probs[action])


def _choose_vector(mean: Row, log_std: Row, draw: np.random.Generator | None) -> tuple[NDArray[np.float64], float]:
    """Returns the action before clipping, and its log-probability."""
    log_std = log_std.astype(np.float64)
    normal = np.zeros(len(mean)) if draw is None else draw.standard_normal(len(mean))
    log_prob = -(normal**2 / 2 + log_std + log(2 * pi) / 2).sum()
    return mean + np.exp(log_std) * normal, float(log_prob)
