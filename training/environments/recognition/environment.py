"""Psychlab's continuous recognition ("have I seen this picture before?") as a gymnasium environment and a vector of them.

Observation uint8 (64, 64, 3) for one, (rows, 3, 64, 64) for the vector; actions: stay, left, right, up, down. The rules are
the level's (game.py). What differs from the level, on purpose:
- The gaze turns in steps of 9.7 degrees on a grid of 7 x 3 cells instead of continuously with inertia, so a trial takes six
  actions; an action stands for four frames of the level. The single frames of fixation and of the gap between trials
  pass within an action. The gaze cannot leave the grid; the yaw at the start is one of the three middle cells.
- The field of view is 63.5 degrees instead of 90, so that the picture fills three quarters of the frame.
- The pictures are Tux Paint's stamps instead of photographs of objects. The room is one colour, without sky.
- Every episode follows from its seed alone.

Failure policy: an action above 4 raises IndexError; stepping before the first reset raises AttributeError.
"""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from training.environments.recognition.game import Action, Game
from training.environments.recognition.view import SIZE, Gallery
from training.environments.rows import Rows


class RecognitionEnv(gymnasium.Env[NDArray[np.uint8], Any]):
    """One environment; `game` contains its state."""

    observation_space = gymnasium.spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(len(Action))

    def __init__(self, gallery: Gallery) -> None:
        self._gallery, self.game = gallery, Game(len(gallery.pictures))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Starts a new episode; without a seed it follows from the previous ones."""
        super().reset(seed=seed)
        self.game.reset(self.np_random)
        return self._frame(), {}

    def step(self, action: int) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        """Moves the gaze by one cell."""
        reward, terminated, truncated = self.game.step(action)
        return self._frame(), reward, terminated, truncated, {}

    def _frame(self) -> NDArray[np.uint8]:
        return np.ascontiguousarray(self._gallery.frames([self.game])[0].transpose(1, 2, 0))


class RecognitionVecEnv(Rows):
    """Parallel environments: first those of the first task, then those of the second, and so on.

    Environment r begins with seed `seed * 1000 + r`.
    """

    def __init__(self, tasks: Sequence[tuple[str, int, Gallery]], *, seed: int) -> None:
        """tasks: (environment id, num_envs, pictures)."""
        self._rngs = [np.random.default_rng(seed * 1000 + row) for row in range(sum(num_envs for _, num_envs, _ in tasks))]
        self.names = [name for name, num_envs, _ in tasks for _ in range(num_envs)]
        self.games = [Game(len(gallery.pictures)) for _, num_envs, gallery in tasks for _ in range(num_envs)]
        self._parts: list[tuple[Gallery, list[Game]]] = []
        at = 0
        for _, num_envs, gallery in tasks:
            self._parts.append((gallery, self.games[at : at + num_envs]))
            at += num_envs
        frames = gymnasium.spaces.Box(0, 255, (3, SIZE, SIZE), np.uint8)
        super().__init__(len(self.games), frames, gymnasium.spaces.Discrete(len(Action)))
        self._actions: list[int] = []
        self._returns = np.zeros(self.num_envs)

    def reset(self) -> NDArray[np.uint8]:
        """Returns the first frames of new episodes, uint8 (num_envs, 3, 64, 64)."""
        for game, rng in zip(self.games, self._rngs, strict=True):
            game.reset(rng)
        self._returns[:] = 0
        return self._frames()

    def step_async(self, actions: NDArray[Any]) -> None:
        """Stores the actions for `step_wait`."""
        self._actions = actions.tolist()

    def step_wait(self) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        """Steps every environment; resets those whose episodes ended, as stable-baselines3 expects."""
        outcomes = [game.step(action) for game, action in zip(self.games, self._actions, strict=True)]
        rewards = np.array([reward for reward, _, _ in outcomes], np.float32)
        dones = np.array([terminated or truncated for _, terminated, truncated in outcomes])
        self._returns += rewards
        frames = self._frames()
        infos: list[dict[str, Any]] = [{} for _ in self.games]
        for row in np.flatnonzero(dones).tolist():
            infos[row] = self._info(row, frames[row], outcomes[row][2])
            self.games[row].reset(self._rngs[row])
            self._returns[row] = 0
        return (self._frames() if dones.any() else frames), rewards, dones, infos

    def _frames(self) -> NDArray[np.uint8]:
        return np.concatenate([gallery.frames(games) for gallery, games in self._parts])

    def _info(self, row: int, last: NDArray[np.uint8], truncated: bool) -> dict[str, Any]:
        return {
            "terminal_observation": last.copy(),
            "TimeLimit.truncated": truncated,
            "environment": self.names[row],
            "episode": {"r": float(self._returns[row]), "l": self.games[row].steps},
        }

    def close(self) -> None:
        """Does nothing."""
