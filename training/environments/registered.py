"""Any environment registered with gymnasium, by a `MODULE:ID` name such as `docs.examples.signals:Signals-v0`.

Contract: as in training.environments. gymnasium imports the module, which registers the id. Observations must be frames of a
fixed size, uint8 (height, width, 3); actions must be discrete, continuous or a dict of the two (training.actions). Failure
policy: an unknown id or module raises gymnasium's own error; other observations raise ValueError, which names them and the
wrapper to use.
"""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.monitor import Monitor

from training.actions import FlattenAction
from training.environments.rows import ChannelsFirst, NamedRows


def single_environment(env_id: str) -> gymnasium.Env[Any, Any]:
    """Returns the environment; raises ValueError if its observations are not frames."""
    environment: gymnasium.Env[Any, Any] = gymnasium.make(env_id)
    space = environment.observation_space
    if space.dtype != np.uint8 or len(space.shape or ()) != 3 or (space.shape or ())[-1] != 3:
        text = "gymnasium.wrappers.AddRenderObservation makes frames of an environment that renders"
        raise ValueError(f"{env_id}: observation_space: expected uint8 (height, width, 3), got {space}; {text}")
    return environment


def _row(env_id: str) -> gymnasium.Env[Any, Any]:
    environment = single_environment(env_id)
    if isinstance(environment.action_space, gymnasium.spaces.Dict):
        environment = FlattenAction(environment)
    return Monitor(ChannelsFirst(environment))


def vector_environment(tasks: Sequence[tuple[str, int]], *, seed: int) -> NamedRows:
    """Returns parallel environments for training, stepped one by one; actions of dict spaces are flat (training.actions)."""
    return NamedRows(tasks, _row, seed=seed)
