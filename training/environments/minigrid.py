"""MiniGrid tasks as one stable-baselines3 vector environment, fast enough to train on two cores.

EnvPool steps the symbolic environments; the RGB view is looked up tile by tile, which gives exactly the frames of
`RGBImgPartialObsWrapper` (training.clip.tiles). Observations are uint8 (3, 56, 56). Several tasks can run in parallel (a
curriculum); `info["environment"]` of an ended episode contains its id.

Failure policy: an unknown environment id raises EnvPool's own error; tasks with different action counts raise ValueError.
"""

from collections.abc import Sequence
from typing import Any

import envpool
import gymnasium
import numpy as np
from numpy.typing import NDArray
from shelm.gym import minigrid_env

from training.clip.tiles import render_channels_first
from training.environments.rows import Rows


class MiniGridVecEnv(Rows):
    """Parallel MiniGrid environments: first those of the first task, then those of the second, and so on."""

    def __init__(self, tasks: Sequence[tuple[str, int]], *, seed: int) -> None:
        """tasks: (environment id, num_envs) pairs."""
        self.tasks = tasks
        self._pools = [
            envpool.make(name, env_type="gymnasium", num_envs=num_envs, seed=seed * 1000 + i, num_threads=1)
            for i, (name, num_envs) in enumerate(tasks)
        ]
        counts = {int(pool.action_space.n) for pool in self._pools}
        if len(counts) > 1:
            raise ValueError(f"tasks: all need the same number of actions, got {sorted(counts)}")
        self.names = [name for name, num_envs in tasks for _ in range(num_envs)]
        frames = gymnasium.spaces.Box(0, 255, (3, 56, 56), np.uint8)
        super().__init__(len(self.names), frames, gymnasium.spaces.Discrete(counts.pop()))
        self._actions: NDArray[np.int32] = np.zeros(self.num_envs, np.int32)
        self._returns = np.zeros(self.num_envs)
        self._lengths = np.zeros(self.num_envs, np.int64)

    def reset(self) -> NDArray[np.uint8]:
        """Returns the first frames, uint8 (num_envs, 3, 56, 56)."""
        views = np.concatenate([pool.reset()[0]["image"] for pool in self._pools])
        return render_channels_first(views)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Stores the actions for `step_wait`."""
        self._actions = actions.astype(np.int32)

    def step_wait(self) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Steps every environment; resets those whose episodes ended, as stable-baselines3 expects."""
        parts = []
        at = 0
        for pool, (_, num_envs) in zip(self._pools, self.tasks, strict=True):
            parts.append(self._step_pool(pool, self._actions[at : at + num_envs]))
            at += num_envs
        views, rewards, dones, truncated, last = (np.concatenate(column) for column in zip(*parts, strict=True))
        self._returns += rewards
        self._lengths += 1
        infos = [self._info(row, truncated[row], last[row]) if dones[row] else {} for row in range(self.num_envs)]
        self._returns[dones] = 0
        self._lengths[dones] = 0
        return render_channels_first(views), rewards.astype(np.float32), dones, infos

    def _step_pool(self, pool: Any, actions: NDArray[np.int32]) -> tuple[NDArray[Any], ...]:
        observation, rewards, terminated, truncated, _ = pool.step(actions)
        last = observation["image"]
        views, dones = last.copy(), terminated | truncated
        if dones.any():
            ended = np.flatnonzero(dones).astype(np.int32)
            first, _ = pool.reset(ended)
            views[ended] = first["image"]
        return views, rewards, dones, truncated & ~terminated, last

    def _info(self, row: int, truncated: bool, last: NDArray[np.uint8]) -> dict[str, Any]:
        return {
            "terminal_observation": render_channels_first(last[None])[0],
            "TimeLimit.truncated": bool(truncated),
            "environment": self.names[row],
            "episode": {"r": float(self._returns[row]), "l": int(self._lengths[row])},
        }

    def close(self) -> None:
        """Closes the environments."""
        for pool in self._pools:
            pool.close()


def vector_environment(tasks: Sequence[tuple[str, int]], *, seed: int) -> MiniGridVecEnv:
    """Returns parallel MiniGrid environments for training, uint8 (num_envs, 3, 56, 56); tasks: (environment id, num_envs)
    pairs.
    """
    return MiniGridVecEnv(tasks, seed=seed)


def single_environment(env_id: str) -> gymnasium.Env[Any, Any]:
    """Returns MiniGrid itself, with its own renderer."""
    environment: gymnasium.Env[Any, Any] = minigrid_env(env_id)
    return environment
