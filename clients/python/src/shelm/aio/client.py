"""The asyncio client: frames in, actions out. Lifecycle and failure policy are those of `shelm.client`.

It belongs to one event loop. A cancelled `act` may have been committed: call it again with the same frame.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from shelm.aio.episode import AsyncEpisode
from shelm.aio.reader import AsyncReader
from shelm.aio.transport import AsyncTransport
from shelm.batch import Batch
from shelm.client import DEFAULT_TARGET
from shelm.convert import act_from, episode_from
from shelm.errors import ShelmError
from shelm.observation import Encoding
from shelm.requests import Requests, end_request
from shelm.results import Act, EpisodeInfo
from shelm.steps import AsyncCursors
from shelm.transport import Settings


class AsyncClient(AsyncReader):
    """Acts in any number of episodes of one server."""

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        token: str | None = None,
        tls: bool = False,
        timeout: float = 10.0,
        retry_for: float = 30.0,
        agent: str = "",
        encoding: Encoding = "raw",
    ) -> None:
        """Takes where the server is and how to talk to it; see `Client`."""
        settings = Settings(target=target, token=token, tls=tls, timeout=timeout, retry_for=retry_for)
        super().__init__(AsyncTransport(settings), Requests(agent=agent, encoding=encoding))
        self._cursors = AsyncCursors()

    async def act(
        self, observation: Any, episode_id: str, *, step: int | None = None, deterministic: bool | None = None
    ) -> Act:
        """Returns the action for a frame as the next step of the episode; see `Client.act`."""
        frame = self._requests.image(observation)
        async with self._cursors.hold(episode_id) as cursor:
            request = self._requests.act(episode_id, cursor, frame, step, deterministic)
            response = await self._transport.call("Act", request)
            cursor.answered(request.step)
        return act_from(response)

    async def act_batch(
        self, observations: Mapping[str, Any], *, deterministic: bool | None = None
    ) -> dict[str, Act | ShelmError]:
        """Returns, by episode_id, the action for each frame or why that episode failed; see `Client.act_batch`."""
        frames = {episode_id: self._requests.image(observation) for episode_id, observation in observations.items()}
        async with self._cursors.hold_all(frames) as cursors:
            requests = [
                self._requests.act(name, cursors[name], frame, None, deterministic) for name, frame in frames.items()
            ]
            results = await self._act_all(Batch(requests))
            for result in results.values():
                if isinstance(result, Act):
                    cursors[result.episode_id].answered(result.step)
        return results

    async def resume(self, episode_id: str) -> int:
        """Reads where an episode stands, goes on from there, and returns its next step; raises EpisodeNotFound."""
        async with self._cursors.hold(episode_id) as cursor:
            return cursor.resumed((await self.get_episode(episode_id)).committed_step)

    async def create_episode(
        self,
        episode_id: str,
        *,
        agent: str | None = None,
        seed: int | None = None,
        deterministic: bool | None = None,
    ) -> EpisodeInfo:
        """Creates an episode before its first step; see `Client.create_episode`."""
        request = self._requests.create(episode_id, agent, seed, deterministic)
        async with self._cursors.hold(episode_id) as cursor:
            response = await self._transport.call("CreateEpisode", request)
            cursor.names_agent = False
        return episode_from(response.episode)

    async def end_episode(self, episode_id: str, *, total_reward: float | None = None, retry: bool = True) -> EpisodeInfo:
        """Says that no step will follow; see `Client.end_episode`."""
        response = await self._transport.call("EndEpisode", end_request(episode_id, total_reward), retry=retry)
        self._cursors.forget(episode_id)
        return episode_from(response.episode)

    def episode(
        self,
        episode_id: str | None = None,
        *,
        seed: int | None = None,
        agent: str | None = None,
        deterministic: bool | None = None,
    ) -> AsyncEpisode:
        """Returns an async context manager that creates the episode (with a fresh name unless given) and ends it."""
        return AsyncEpisode(self, episode_id, seed=seed, agent=agent, deterministic=deterministic)

    async def close(self) -> None:
        """Closes the connection; calls that still run are cancelled. No episode ends by this."""
        await self._transport.close()

    async def __aenter__(self) -> "AsyncClient":
        """Returns itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the connection."""
        await self.close()

    async def _act_all(self, batch: Batch) -> dict[str, Act | ShelmError]:
        attempts = self._transport.attempts()
        while True:
            try:
                batch.answered(await self._transport.once("ActBatch", batch.request(), timeout=attempts.timeout))
            except ShelmError as error:
                batch.failed(error)
            if batch.error is None or not await attempts.wait_async(batch.error):
                return batch.outcomes()
