"""MiniWorld tasks as one stable-baselines3 vector environment in one process, and one by one.

Contract: see training.environments. Observations are MiniWorld's own frames, 60x80; Sign's dict gives its frame and drops
its goal (paper-facts section 5). Besides MiniWorld's ids there is `MiniWorld-SignVarying-v0` (miniworld_sign.py).
Rows are drawn correctly side by side, which MiniWorld alone does not do (miniworld_rendering.py).
Failure policy: an unknown id raises what gymnasium raises; tasks with different action counts raise ValueError.
"""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from training.environments import miniworld_sign  # noqa: F401  registers our own id

HEIGHT, WIDTH = 60, 80
Frame = NDArray[np.uint8]


class FrameOnly(gymnasium.ObservationWrapper[Frame, Any, Any]):
    """uint8 (60, 80, 3), also of an environment whose observation is a dict."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Box(0, 255, (HEIGHT, WIDTH, 3), np.uint8)

    def observation(self, observation: Any) -> Frame:
        """The frame itself."""
        frame: Frame = observation["obs"] if isinstance(observation, dict) else observation
        return frame


class ChannelsFirst(gymnasium.ObservationWrapper[Frame, Any, Frame]):
    """uint8 (3, 60, 80)."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.observation_space = gymnasium.spaces.Box(0, 255, (3, HEIGHT, WIDTH), np.uint8)

    def observation(self, observation: Frame) -> Frame:
        """Channels, height, width."""
        return np.ascontiguousarray(observation.transpose(2, 0, 1))


class MiniWorldVecEnv(DummyVecEnv):
    """Rows 0..n-1 of the first task, then those of the second, and so on; `names` are their ids."""

    def __init__(self, tasks: Sequence[tuple[str, int]], *, seed: int) -> None:
        self.names = [name for name, rows in tasks for _ in range(rows)]
        super().__init__([_row(name) for name in self.names])
        counts = {int(space.n) for space in self.get_attr("action_space")}
        if len(counts) > 1:
            raise ValueError(f"tasks: all need the same number of actions, got {sorted(counts)}")
        self.seed(seed * 1000)

    def step_wait(self) -> tuple[Any, NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Steps every row; the info of a row that ended names its environment."""
        frames, rewards, dones, infos = super().step_wait()
        for row in np.flatnonzero(dones):
            infos[row]["environment"] = self.names[row]
        return frames, rewards, dones, infos


def _row(env_id: str) -> Callable[[], gymnasium.Env[Any, Any]]:
    return lambda: Monitor(ChannelsFirst(single_environment(env_id)))


def vector_environment(tasks: Sequence[tuple[str, int]], *, seed: int) -> MiniWorldVecEnv:
    """See training.environments."""
    return MiniWorldVecEnv(tasks, seed=seed)


def single_environment(env_id: str) -> gymnasium.Env[Any, Any]:
    """The environment itself; its observation is the frame alone."""
    # No checker: it warns of MiniWorld's reward types and costs a check a step.
    return FrameOnly(gymnasium.make(env_id, disable_env_checker=True))
