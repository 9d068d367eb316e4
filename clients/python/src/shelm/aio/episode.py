"""One episode as an `async with` block; see `shelm.episode`."""

from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from shelm.episode import EpisodeValues
from shelm.results import Act, EpisodeInfo, MemoryStep

if TYPE_CHECKING:
    from shelm.aio.client import AsyncClient


class AsyncEpisode(EpisodeValues):
    """Acts in one episode. One that already has steps is replayed from step 0, unless `AsyncClient.resume` moves it on."""

    def __init__(
        self,
        client: "AsyncClient",
        episode_id: str | None = None,
        *,
        seed: int | None = None,
        agent: str | None = None,
        deterministic: bool | None = None,
    ) -> None:
        """Takes the values of `AsyncClient.create_episode`; `episode_id` None means a fresh random name."""
        super().__init__(episode_id, seed=seed, agent=agent, deterministic=deterministic)
        self._client = client

    async def act(self, observation: Any, *, step: int | None = None, deterministic: bool | None = None) -> Act:
        """Returns the action for a frame; see `Client.act`."""
        return await self._client.act(observation, self.episode_id, step=step, deterministic=deterministic)

    def memory(self, from_step: int = 0) -> AsyncIterator[MemoryStep]:
        """Yields the remembered words, oldest first; see `Client.memory`."""
        return self._client.memory(self.episode_id, from_step)

    async def info(self) -> EpisodeInfo:
        """Returns what the server knows of this episode."""
        return await self._client.get_episode(self.episode_id)

    async def __aenter__(self) -> "AsyncEpisode":
        """Creates the episode and returns itself."""
        await self._client.create_episode(
            self.episode_id, agent=self._agent, seed=self._seed, deterministic=self._deterministic
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the episode."""
        if error is None:
            await self._client.end_episode(self.episode_id, total_reward=self.total_reward)
            return
        with suppress(Exception):
            await self._client.end_episode(self.episode_id, retry=False)
