"""A served agent as a policy for stable-baselines3's `evaluate_policy`, or any loop that calls `predict` like it.

The state that predict returns and takes names the running episode of each environment; the memory is at the server.
An environment whose `episode_start` is true begins a new episode and ends the one before, without a total reward, because
predict sees none. A passing failure of the server is ridden out by the client; any other raises ShelmError, and the same
call may then be made again. `close` (or a `with` block) ends the episodes that still run.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shelm.client import Client
from shelm.errors import FieldViolation, InvalidArgument, ShelmError
from shelm.gym.arrays import frame_of, stack
from shelm.results import Action

State = tuple[NDArray[np.str_], ...]
"""One array (n,) with the episode_id of each environment."""


class RemotePolicy:
    """Acts in one environment, or in n at once with one call."""

    def __init__(self, client: Client, *, agent: str | None = None, seed: int | None = None) -> None:
        """Acts through `client`, which stays open. `agent` None means the client's.

        Episode i of this policy draws its actions with seed + i, so that an evaluation can be repeated; with `seed` None
        the server derives the seed from the episode's random name.
        """
        self._client, self._agent, self._seed = client, agent, seed
        self._begun, self._running = 0, set[str]()

    def predict(
        self,
        observation: NDArray[Any] | Mapping[str, NDArray[Any]],
        state: State | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[Any, State]:
        """Returns the actions for a frame or a batch of frames, and the state for the next call.

        Frames are uint8, (height, width, 3) or (n, height, width, 3), or stand in a mapping under "image" or "obs".
        The actions have a first dimension n where the frames have one. `state` None begins new episodes.
        """
        frames = frame_of(observation)
        single = np.ndim(frames) == 3
        batch = frames[None] if single else frames
        names = self._names(len(batch), state, episode_start)
        actions = self._act(dict(zip(names, batch)), deterministic=deterministic)
        return (_unstacked(actions) if single else actions), (np.array(names),)

    def close(self) -> None:
        """Ends the episodes that still run; one that the server no longer knows is left."""
        while self._running:
            with suppress(ShelmError):
                self._client.end_episode(self._running.pop())

    def __enter__(self) -> RemotePolicy:
        """Returns itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Ends the episodes that still run."""
        self.close()

    def _names(self, count: int, state: State | None, episode_start: NDArray[np.bool_] | None) -> list[str]:
        """Returns each environment's episode, after beginning the new ones."""
        names: list[str | None] = [None] * count if state is None else state[0].tolist()
        if len(names) != count:
            text = f"expected {count} episodes, one for each frame, given {len(names)}"
            raise InvalidArgument(f"state: {text}", reason="INVALID_FIELD", field_violations=[FieldViolation("state", text)])
        starts = np.broadcast_to(False if episode_start is None else episode_start, (count,))
        return [self._begin(name) if start or name is None else name for name, start in zip(names, starts)]

    def _begin(self, before: str | None) -> str:
        if before in self._running:
            self._running.remove(before)
            self._client.end_episode(before)
        name = f"episode-{uuid.uuid4().hex}"
        seed = None if self._seed is None else self._seed + self._begun
        self._client.create_episode(name, agent=self._agent, seed=seed)
        self._begun += 1
        self._running.add(name)
        return name

    def _act(self, frames: Mapping[str, NDArray[Any]], *, deterministic: bool) -> Any:
        actions: list[Action] = []
        for result in self._client.act_batch(frames, deterministic=deterministic).values():
            if isinstance(result, ShelmError):
                raise result
            actions.append(result.action)
        return stack(actions)


def _unstacked(actions: Any) -> Any:
    return {name: part[0] for name, part in actions.items()} if isinstance(actions, dict) else actions[0]
