"""Wrappers of a vector environment: a memory, with observation = frame + memory vector, and time limits that are ends.

Failure policy: an error of the memory or the environment ends the training.
"""

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from training.memory import Frames, Memory


class MemoryVecEnv(VecEnvWrapper):
    """Adds `memory`, float32 (dimension,), to the observation `frame`, uint8 (3, height, width)."""

    def __init__(self, venv: VecEnv, memory: Memory) -> None:
        vector = gymnasium.spaces.Box(-np.inf, np.inf, (memory.dimension,), np.float32)
        super().__init__(venv, gymnasium.spaces.Dict({"frame": venv.observation_space, "memory": vector}))
        self.memory = memory

    def reset(self) -> dict[str, NDArray[Any]]:
        """Returns the first observations of new episodes in all environments."""
        frames: Any = self.venv.reset()
        for row in range(self.num_envs):
            self.memory.begin(row)
        return self._observe(frames)

    def step_wait(self) -> tuple[dict[str, NDArray[Any]], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Steps all environments; the last observation of a truncated episode contains its memory vector too."""
        frames: Any
        frames, rewards, dones, infos = self.venv.step_wait()
        for row in np.flatnonzero(dones).tolist():
            last = infos[row]["terminal_observation"]
            # The value of the last observation is only needed for truncated episodes.
            truncated = infos[row]["TimeLimit.truncated"]
            vector = self._remember(last[None], [row])[0] if truncated else np.zeros(self.memory.dimension, np.float32)
            infos[row]["terminal_observation"] = {"frame": last, "memory": vector}
            self.memory.begin(row)
        return self._observe(frames), rewards, dones, infos

    def _observe(self, frames: Frames) -> dict[str, NDArray[Any]]:
        return {"frame": frames, "memory": self._remember(frames, list(range(self.num_envs)))}

    def _remember(self, frames: Frames, rows: list[int]) -> NDArray[np.float32]:
        return self.memory.remember(frames.transpose(0, 2, 3, 1), rows)


class TimeLimitsAreEnds(VecEnvWrapper):
    """Says of no episode that a time limit ended it, so that nothing is expected of what would have followed, as the
    authors do (docs/paper.md#q17).
    """

    def reset(self) -> Any:
        """Returns the first observations."""
        return self.venv.reset()

    def step_wait(self) -> Any:
        """Steps all environments."""
        frames, rewards, dones, infos = self.venv.step_wait()
        for row in np.flatnonzero(dones).tolist():
            infos[row]["TimeLimit.truncated"] = False
        return frames, rewards, dones, infos
