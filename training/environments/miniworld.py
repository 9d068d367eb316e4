"""MiniWorld tasks as one stable-baselines3 vector environment in one process, and as single environments.

Contract: as in training.environments. Observations are MiniWorld's own frames, 60x80; of Sign's dict only the frame is used,
not the goal (docs/paper.md#preprocessing). Besides MiniWorld's ids, those of miniworld_sign.py are available. Parallel
environments are rendered correctly, which MiniWorld alone does not do (miniworld_rendering.py). Failure policy: an unknown
id raises gymnasium's own error; tasks with different action counts raise ValueError.
"""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.monitor import Monitor

from training.environments import miniworld_sign  # noqa: F401  registers our own id
from training.environments.rows import ChannelsFirst, Frame, NamedRows

HEIGHT, WIDTH = 60, 80


class FrameOnly(gymnasium.ObservationWrapper[Frame, Any, Any]):
    """Observations uint8 (60, 80, 3), also for an environment whose observation is a dict."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Box(0, 255, (HEIGHT, WIDTH, 3), np.uint8)

    def observation(self, observation: Any) -> Frame:
        """Returns the frame."""
        frame: Frame = observation["obs"] if isinstance(observation, dict) else observation
        return frame


def vector_environment(tasks: Sequence[tuple[str, int]], *, seed: int) -> NamedRows:
    """Returns parallel MiniWorld environments for training, uint8 (num_envs, 3, 60, 80); tasks: (environment id, num_envs)
    pairs.
    """
    rows = NamedRows(tasks, _row, seed=seed)
    counts = {int(space.n) for space in rows.get_attr("action_space")}
    if len(counts) > 1:
        raise ValueError(f"tasks: all need the same number of actions, got {sorted(counts)}")
    return rows


def _row(env_id: str) -> gymnasium.Env[Any, Any]:
    return Monitor(ChannelsFirst(single_environment(env_id)))


def single_environment(env_id: str) -> gymnasium.Env[Any, Any]:
    """Returns the environment, with only the frame as observation."""
    # No checker, because it warns about MiniWorld's reward types and runs at every step.
    return FrameOnly(gymnasium.make(env_id, disable_env_checker=True))
