"""Action heads: one row of distribution parameters -> an action and its log-probability.

A row holds the actor's outputs, part after part in the order of `ActionSpace.spaces` (the logits of a discrete part, the
means of a continuous one), then the log standard deviations of all continuous dimensions, which do not depend on the
observation (stable-baselines3's DiagGaussian; the paper has discrete actions only).

Contract: a drawn action depends on (row, episode seed, step) alone: one Philox generator keyed with seed and step serves
the parts in their order. A continuous action is drawn, then clipped to its bounds; its log-probability is the density of
the draw before clipping, as in training. The log-probability of several parts is the sum of theirs. Pure; no failures.
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
    """Where the parameters of one part lie in a row. bounds: of a continuous part, float32 (dimensions,) each."""

    name: str
    outputs: slice
    deviations: slice
    bounds: tuple[NDArray[np.float32], NDArray[np.float32]] | None


def row_sizes(space: ActionSpace) -> tuple[int, int]:
    """Number of the actor's outputs, and of log standard deviations, in a row."""
    parts = space.spaces.values()
    return sum(part.size for part in parts), sum(part.size for part in parts if part.continuous)


def action_heads(space: ActionSpace) -> tuple[Head, ...]:
    """The heads of all parts, in their order; the only head of a space that is no dict has no name."""
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
    """The action and its log-probability: drawn, or of each part the most probable action or the mean."""
    draw = None if deterministic else _generator(seed, step)
    parts, log_prob = dict[str, Part](), 0.0
    for head in heads:
        parts[head.name], part_log_prob = _choose_part(head, row, draw)
        log_prob += part_log_prob
    return parts.get("", parts), log_prob


def choose_action(logits: Row, *, seed: int, step: int, deterministic: bool) -> tuple[int, float]:
    """The same for a single discrete part: logits (actions,) -> index and log-probability."""
    return _choose_index(logits, None if deterministic else _generator(seed, step))


def probabilities(heads: Sequence[Head], row: Row) -> list[float]:
    """Of each action, if the action space is discrete; otherwise none."""
    if heads[0].name or heads[0].bounds:
        return []
    return [float(value) for value in np.exp(log_softmax(row[heads[0].outputs]))]


def total_variation(heads: Sequence[Head], row: Row, other: Row) -> float:
    """Total variation distance between the action distributions of two rows with the same deviations, 0 .. 1.

    Exact for a single part; of several, which are independent, 1 - (1 - d1)(1 - d2)..., an upper bound. Of a continuous
    part it is the distance of the draws before clipping, which no clipping makes larger.
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
    """Log-probabilities of one row of logits, in double precision."""
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
    """Not clipped yet."""
    log_std = log_std.astype(np.float64)
    normal = np.zeros(len(mean)) if draw is None else draw.standard_normal(len(mean))
    log_prob = -(normal**2 / 2 + log_std + log(2 * pi) / 2).sum()
    return mean + np.exp(log_std) * normal, float(log_prob)
