"""The memory as a wrapper around a vector environment: observation = frame + memory vector.

Uses the very engines that the services run (`TokenRetriever`, `MemorySlots`), so what a policy is trained on is what it is
served with. An episode of row r is named "r:n"; a step's words are appended exactly once.

Failure policy: an engine's error ends the training; nothing is papered over.
"""

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from services.domain.history import MemoryStep, MemoryVector, empty_history
from services.memory.model import MemorySlots

Frames = NDArray[np.uint8]
Words = Callable[[Frames], list[tuple[int, ...]]]  # (rows, height, width, 3) -> vocabulary rows of each frame's words


class MemoryVecEnv(VecEnvWrapper):
    """Adds `memory`, float32 (dimension,), beside `frame`, uint8 (3, height, width)."""

    def __init__(self, venv: VecEnv, *, words: Words, slots: MemorySlots, agent_digest: str, dimension: int) -> None:
        spaces = {
            "frame": venv.observation_space,
            "memory": gymnasium.spaces.Box(-np.inf, np.inf, (dimension,), np.float32),
        }
        super().__init__(venv, gymnasium.spaces.Dict(spaces))
        self._words, self._slots = words, slots
        self._empty = empty_history(agent_digest)
        self._episodes = np.zeros(venv.num_envs, np.int64)
        self._steps = np.zeros(venv.num_envs, np.int64)
        self._histories = [self._empty] * venv.num_envs

    def reset(self) -> dict[str, NDArray[Any]]:
        """First observations of new episodes in all rows."""
        frames: Any = self.venv.reset()
        for row in range(self.num_envs):
            self._begin(row)
        return self._observe(frames)

    def step_wait(self) -> tuple[dict[str, NDArray[Any]], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """As stable-baselines3 expects; the last observation of a truncated episode has its memory vector too."""
        frames: Any
        frames, rewards, dones, infos = self.venv.step_wait()
        for row in np.flatnonzero(dones).tolist():
            last = infos[row]["terminal_observation"]
            # Only a truncated episode's last value is ever asked for.
            truncated = infos[row]["TimeLimit.truncated"]
            memory = self._remember(last[None], [row])[0] if truncated else np.zeros(self._dimension, np.float32)
            infos[row]["terminal_observation"] = {"frame": last, "memory": memory}
            self._begin(row)
        return self._observe(frames), rewards, dones, infos

    @property
    def _dimension(self) -> int:
        space = self.observation_space
        assert isinstance(space, gymnasium.spaces.Dict)
        shape = space["memory"].shape
        assert shape is not None
        return shape[0]

    def _begin(self, row: int) -> None:
        self._slots.forget(f"{row}:{self._episodes[row]}")
        self._episodes[row] += 1
        self._steps[row] = 0
        self._histories[row] = self._empty

    def _observe(self, frames: Frames) -> dict[str, NDArray[Any]]:
        return {"frame": frames, "memory": self._remember(frames, list(range(self.num_envs)))}

    def _remember(self, frames: Frames, rows: list[int]) -> NDArray[np.float32]:
        words = self._words(frames.transpose(0, 2, 3, 1))
        steps = [
            MemoryStep(f"{row}:{self._episodes[row]}", int(self._steps[row]), words[i], self._histories[row])
            for i, row in enumerate(rows)
        ]
        vectors = []
        for row, answer in zip(rows, self._slots.remember(steps), strict=True):
            if not isinstance(answer, MemoryVector):
                raise RuntimeError(f"row {row}: the memory lost an episode in the middle: {answer}")
            vectors.append(answer.vector)
            self._histories[row] = answer.history
            self._steps[row] += 1
        return np.stack(vectors)
