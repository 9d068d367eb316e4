"""A served agent as a policy for stable-baselines3's `evaluate_policy`, or any other loop that calls `predict`.

The state that predict returns and accepts contains the id of each environment's running episode; the memory is on the
server. An environment whose `episode_start` is true begins a new episode and ends the previous one, without a total reward,
because predict receives no rewards. The client retries transient errors; any other raises ShelmError, and the same call may
then be repeated. `close` (or a `with` block) ends the running episodes.
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
    """Acts in one environment, or in n environments with one call."""

    def __init__(self, client: Client, *, agent: str | None = None, seed: int | None = None) -> None:
        """Acts through `client`, which is not closed. `agent` None means the client's agent.

        Episode i of this policy samples its actions with seed + i, so that an evaluation can be reproduced; with `seed` None
        the server derives the seed from the episode's random id.
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

        Frames are uint8, (height, width, 3) or (n, height, width, 3), or in a mapping under "image" or "obs". The actions
        have a first dimension n if the frames have one. `state` None begins new episodes.
        """
        frames = frame_of(observation)
        single = np.ndim(frames) == 3
        batch = frames[None] if single else frames
        names = self._names(len(batch), state, episode_start)
        actions = self._act(dict(zip(names, batch)), deterministic=deterministic)
        return (_unstacked(actions) if single else actions), (np.array(names),)

    def close(self) -> None:
        """Ends the running episodes; those unknown to the server are ignored."""
        while self._running:
            with suppress(ShelmError):
                self._client.end_episode(self._running.pop())

    def __enter__(self) -> RemotePolicy:
        """Returns the policy."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Ends the running episodes."""
        self.close()

    def _names(self, count: int, state: State | None, episode_start: NDArray[np.bool_] | None) -> list[str]:
        """Returns the episode id of each environment, after beginning new episodes."""
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
