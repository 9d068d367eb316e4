"""Converts between the environments' observations and actions and those of the client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shelm.results import Action

FRAME_KEYS = ("image", "obs")


def frame_of(observation: Any) -> Any:
    """Returns the frame, or batch of frames, in an observation: the observation itself, or the entry "image" or "obs" of a
    mapping.
    """
    if isinstance(observation, Mapping):
        return next((observation[key] for key in FRAME_KEYS if key in observation), observation)
    return observation


def stack(actions: Sequence[Action]) -> Any:
    """Returns the actions of n environments in the form that a vector environment expects.

    int64 (n,) for discrete actions, float32 (n, dimensions) for continuous ones, a dict of these for dicts.
    """
    first = actions[0]
    if isinstance(first, dict):
        return {name: np.stack([_part(action, name) for action in actions]) for name in first}
    return np.stack([np.asarray(action) for action in actions])


def _part(action: Action, name: str) -> Any:
    assert isinstance(action, dict), "one agent has one kind of action"
    return np.asarray(action[name])
