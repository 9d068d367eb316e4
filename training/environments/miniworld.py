"""MiniWorld tasks as one stable-baselines3 vector environment in one process, and one by one.

Contract: see training.environments. Observations are MiniWorld's own frames, 60x80; Sign's dict gives its frame and drops
its goal (docs/paper.md#preprocessing). Besides MiniWorld's ids there are those of miniworld_sign.py.
Rows are drawn correctly side by side, which MiniWorld alone does not do (miniworld_rendering.py).
Failure policy: an unknown id raises what gymnasium raises; tasks with different action counts raise ValueError.
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
    """uint8 (60, 80, 3), also of an environment whose observation is a dict."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Box(0, 255, (HEIGHT, WIDTH, 3), np.uint8)

    def observation(self, observation: Any) -> Frame:
        """The frame itself."""
        frame: Frame = observation["obs"] if isinstance(observation, dict) else observation
        return frame


def vector_environment(tasks: Sequence[tuple[str, int]], *, seed: int) -> NamedRows:
    """MiniWorlds side by side for training, uint8 (rows, 3, 60, 80); tasks are (environment id, rows) pairs."""
    rows = NamedRows(tasks, _row, seed=seed)
    counts = {int(space.n) for space in rows.get_attr("action_space")}
    if len(counts) > 1:
        raise ValueError(f"tasks: all need the same number of actions, got {sorted(counts)}")
    return rows


def _row(env_id: str) -> gymnasium.Env[Any, Any]:
    return Monitor(ChannelsFirst(single_environment(env_id)))


def single_environment(env_id: str) -> gymnasium.Env[Any, Any]:
    """The environment itself; its observation is the frame alone."""
    # No checker: it warns of MiniWorld's reward types and costs a check a step.
    # A small window: nobody looks into it, and at MiniWorld's 800x600 it takes 37 MB that closing does not give back.
    window = {"window_width": WIDTH, "window_height": HEIGHT}
    return FrameOnly(gymnasium.make(env_id, disable_env_checker=True, **window))
