# Generated from aio/episode.py by tools/unasync_client.py (`make client`). Not edited by hand.
"""One episode as a `with` block: created on entry, and ended on exit with the sum of the rewards added.

Failure policy: if the block raises an exception, the episode is ended too; EndEpisode is then tried once, without a total
reward (the sum would be incomplete), and its own failure is ignored, so that the original exception is raised. Without an
exception, a failed EndEpisode is raised; nothing is lost, because the episode expires.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any

from shelm.actor import Actor
from shelm.boundary import as_reward
from shelm.results import Act, EpisodeInfo, MemoryStep


class Episode:
    """Acts in one episode. If the episode already has steps, it is replayed from step 0 unless `Client.resume` was
    called.
    """

    def __init__(
        self,
        client: Actor,
        episode_id: str | None = None,
        *,
        seed: int | None = None,
        agent: str | None = None,
        deterministic: bool | None = None,
    ) -> None:
        """Takes the arguments of `Client.create_episode`; `episode_id` None means a new random id."""
        self.episode_id = f"episode-{uuid.uuid4().hex}" if episode_id in (None, "") else episode_id
        self.total_reward: float | None = None
        """Sum of the rewards so far; None until one was added. It is sent to the server when the block ends."""
        self._client = client
        self._seed, self._agent, self._deterministic = seed, agent, deterministic

    def add_reward(self, reward: float) -> None:
        """Adds the reward of a step, one finite number of any kind, to the total reward; raises InvalidArgument."""
        self.total_reward = (self.total_reward or 0.0) + as_reward(reward)

    def act(
        self,
        observation: Any,
        *,
        step: int | None = None,
        deterministic: bool | None = None,
        distribution: bool = False,
    ) -> Act:
        """Returns the Act for a frame, a uint8 array (height, width, 3); arguments and errors as for `Client.act`."""
        return self._client.act(
            observation, self.episode_id, step=step, deterministic=deterministic, distribution=distribution
        )

    def memory(self, from_step: int = 0) -> Iterator[MemoryStep]:
        """Yields the remembered words of each step from `from_step` on, oldest first."""
        return self._client.memory(self.episode_id, from_step)

    def info(self) -> EpisodeInfo:
        """Returns the metadata of this episode."""
        return self._client.get_episode(self.episode_id)

    def __enter__(self) -> Episode:
        """Creates the episode and returns it."""
        self._client.create_episode(self.episode_id, agent=self._agent, seed=self._seed, deterministic=self._deterministic)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Ends the episode."""
        if error is None:
            self._client.end_episode(self.episode_id, total_reward=self.total_reward)
            return
        with suppress(Exception):
            self._client.end_episode(self.episode_id, retry=False)
