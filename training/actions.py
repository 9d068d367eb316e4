"""Action spaces in training: conversion between gymnasium's and a bundle's, and the distributions that PPO samples from.

stable-baselines3 stores one row of numbers per action and has no Dict space. A flat action is such a row: part by part in
the order of `ActionSpace.spaces`, an index as one number, a vector as its values. `FlattenAction` lets an environment with a
Dict space accept flat actions; its `FlatBox` keeps the parts, so that a policy can find them through any wrapper.

A continuous action is stored as sampled; the environment side clips it to the bounds (stable-baselines3 clips before it
steps), as in agent.policy.heads. Failure policy: an unsupported space raises ValueError.
"""

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Categorical, Distribution, Normal

from agent.action_space import ActionSpace
from agent.policy.heads import Choice, Part, action_heads

Flat = NDArray[np.float32]  # (numbers,)


class FlatBox(spaces.Box):
    """The flat actions of an action space."""

    def __init__(self, space: ActionSpace) -> None:
        self.space = space
        bounds = [part.continuous.arrays() if part.continuous else _indices(part.size) for part in space.spaces.values()]
        low, high = (np.concatenate(side) for side in zip(*bounds, strict=True))
        super().__init__(low, high, dtype=np.float32)


def _indices(count: int) -> tuple[Flat, Flat]:
    return np.zeros(1, np.float32), np.full(1, count - 1, np.float32)


class FlattenAction(gymnasium.ActionWrapper[Any, Any, Any]):
    """Lets an environment with any supported action space accept flat actions."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.action_space = FlatBox(action_space_of(env.action_space))

    def action(self, action: Flat) -> Choice:
        """Converts a flat action to one of the environment."""
        assert isinstance(self.action_space, FlatBox)
        parts, at = dict[str, Part](), 0
        for name, part in self.action_space.space.spaces.items():
            width = part.size if part.continuous else 1
            values = np.asarray(action[at : at + width], np.float32)
            parts[name] = values if part.continuous else round(values.item())
            at += width
        return parts.get("", parts)


def action_space_of(space: spaces.Space[Any]) -> ActionSpace:
    """Converts gymnasium's Discrete, one-dimensional Box, or Dict of these to a bundle's action space; a FlatBox to the
    space that it flattens.
    """
    if isinstance(space, FlatBox):
        return space.space
    if isinstance(space, spaces.Dict):
        return ActionSpace.model_validate({"dict": {name: _content(part) for name, part in space.items()}})
    return ActionSpace.model_validate(_content(space))


def _content(space: spaces.Space[Any]) -> dict[str, Any]:
    if isinstance(space, spaces.Discrete) and space.start == 0:
        return {"discrete": int(space.n)}
    if isinstance(space, spaces.Box) and not space.is_bounded():
        raise ValueError(
            f"action space: an agent's actions need finite bounds, got {space}; give the environment those that it "
            "means, as gymnasium.wrappers.TransformAction(env, lambda action: action, spaces.Box(-1, 1, SHAPE)) does"
        )
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        return {"continuous": {"low": space.low.tolist(), "high": space.high.tolist()}}
    raise ValueError(f"action space: expected Discrete from 0, a Box of one dimension, or a Dict of these, got {space}")


def distribution(space: ActionSpace, parameters: Tensor) -> "Categorical | FlatDistribution":
    """Returns the distribution for rows of `ActorCritic.decide`: over indices (rows,) if the space is discrete, else over
    flat actions.
    """
    return Categorical(logits=parameters, validate_args=False) if space.discrete else FlatDistribution(space, parameters)


class FlatDistribution:
    """Distribution over flat actions, with the methods of `Categorical`."""

    def __init__(self, space: ActionSpace, parameters: Tensor) -> None:
        """parameters: rows as defined in agent.policy.heads."""
        self._parts: list[tuple[Distribution, slice]] = []
        at = 0
        for head in action_heads(space):
            outputs, deviations = parameters[:, head.outputs], parameters[:, head.deviations].exp()
            part = Normal(outputs, deviations) if head.bounds else Categorical(logits=outputs)
            width = outputs.shape[1] if head.bounds else 1
            self._parts.append((part, slice(at, at + width)))
            at += width

    @property
    def mode(self) -> Tensor:
        """Returns flat actions (rows, numbers): the most probable indices and the means."""
        return torch.cat([_columns(part.mode) for part, _ in self._parts], dim=1)

    def sample(self) -> Tensor:
        """Returns flat actions (rows, numbers), sampled with torch's generator."""
        return torch.cat([_columns(part.sample()) for part, _ in self._parts], dim=1)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Returns the log-probabilities (rows,), summed over the parts."""
        return sum(
            (_columns(part.log_prob(_values(part, actions[:, at]))).sum(1) for part, at in self._parts),
            torch.zeros(len(actions), device=actions.device),
        )

    def entropy(self) -> Tensor:
        """Returns the entropies (rows,), summed over the parts."""
        return torch.stack([_columns(part.entropy()).sum(1) for part, _ in self._parts]).sum(0)


def _columns(values: Tensor) -> Tensor:
    """Reshapes (rows,) to (rows, 1); leaves (rows, dimensions) unchanged."""
    return values.float()[:, None] if values.dim() == 1 else values


def _values(part: Distribution, columns: Tensor) -> Tensor:
    return columns[:, 0].round().long() if isinstance(part, Categorical) else columns
