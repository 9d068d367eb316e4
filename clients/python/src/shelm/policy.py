"""A served agent as a policy for stable-baselines3's `evaluate_policy`, or any other loop that calls `predict`.

The state that predict returns and accepts contains the id of each environment's running episode; the memory is on the
server. An environment whose `episode_start` is true begins a new episode and ends the previous one, without a total reward,
because predict receives no rewards. The client retries transient errors; any other raises ShelmError, and the same call may
then be repeated. `close` (or a `with` block) ends the running episodes.

A loop that does not give the state back would make an episode of every step, and its agent would remember nothing: that is
warned of once (`ForgetfulLoop`), and the episodes that such a loop leaves behind are ended.
"""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shelm.boundary import AnyArray, as_frames, invalid, is_single, stack
from shelm.client import Client
from shelm.comparison import Comparison
from shelm.errors import ShelmError
from shelm.results import Action

State = tuple[NDArray[np.str_], ...]
"""One array (n,) with the episode_id of each environment."""

FORGETFUL = (
    "predict was called again without the state that it returned, so this is a new episode and the agent remembers nothing; "
    "give the state back, and say where episodes begin: "
    "actions, state = policy.predict(observation, state=state, episode_start=done)"
)


class ForgetfulLoop(UserWarning):
    """A loop calls predict without the state of the call before, so that the agent has no memory."""


class RemotePolicy:
    """Acts in one environment, or in n environments with one call."""

    def __init__(self, client: Client, *, agent: str | None = None, seed: int | None = None, env: Any | None = None) -> None:
        """Acts through `client`, which is not closed. `agent` None means the client's agent.

        Episode i of this policy samples its actions with seed + i, so that an evaluation can be reproduced; with `seed` None
        the server derives the seed from the episode's random id. `env`, an environment or a vector of them, is compared with
        the agent at once; without it only its frames are, at the first step. Raises EnvironmentMismatch.
        """
        self._client, self._agent, self._seed = client, agent, seed
        self._begun, self._running = 0, set[str]()
        self._comparison, self._compared = Comparison(client, agent or ""), False
        self._unclaimed = dict[str, bool]()  # episodes that have begun and not come back: whether the caller asked for it
        self._warned = False
        if env is not None:
            self._comparison.actions(env)

    def predict(
        self,
        observation: NDArray[Any] | Mapping[str, NDArray[Any]],
        state: State | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
    ) -> tuple[Any, State]:
        """Returns the actions for a frame or a batch of frames, and the state for the next call.

        Frames are uint8, (height, width, 3) or (n, height, width, 3), or in a mapping under "image", "obs" or "pixels"; see
        `shelm.boundary`. The actions have a first dimension n if the frames have one. `state` None begins new episodes; say
        with `episode_start` that this is meant, if the call is not the first.
        """
        batch = as_frames(observation)
        if not self._compared:
            self._comparison.frame(batch[0])
            self._compared = True
        names = self._names(len(batch), state, episode_start)
        try:
            actions = self._act(dict(zip(names, batch)), deterministic=deterministic)
        except ShelmError:
            for name in names:
                self._unclaimed.pop(name, None)  # the caller never saw this state, and may repeat the call
            raise
        return (_unstacked(actions) if is_single(observation) else actions), (np.array(names),)

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
            raise invalid("state", f"expected {count} episodes, one for each frame, given {len(names)}")
        starts = np.broadcast_to(False if episode_start is None else episode_start, (count,))
        for name in filter(None, names):
            self._unclaimed.pop(name, None)
        if state is None and not starts.all():
            self._abandon(goes_on=episode_start is not None)
        begun = [self._begin(name) if start or name is None else name for name, start in zip(names, starts)]
        self._unclaimed |= {name: bool(start) for name, before, start in zip(begun, names, starts) if name != before}
        return begun

    def _abandon(self, *, goes_on: bool) -> None:
        """Ends the episodes whose state never came back, and warns of the loop that does this.

        `goes_on`: the caller says that an episode goes on. Else those that it asked for may be another environment's.
        """
        left = [name for name, asked in self._unclaimed.items() if goes_on or not asked]
        if (left or goes_on) and not self._warned:
            self._warned = True
            warnings.warn(FORGETFUL, ForgetfulLoop, stacklevel=4)
        for name in left:
            del self._unclaimed[name]
            self._running.discard(name)
            self._client.end_episode(name)

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

    def _act(self, frames: Mapping[str, AnyArray], *, deterministic: bool) -> Any:
        actions: list[Action] = []
        for result in self._client.act_batch(frames, deterministic=deterministic).values():
            if isinstance(result, ShelmError):
                raise result
            actions.append(result.action)
        return stack(actions)


def _unstacked(actions: Any) -> Any:
    return {name: part[0] for name, part in actions.items()} if isinstance(actions, dict) else actions[0]
