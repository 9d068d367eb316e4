"""The episodes of one connected client, where they begin, and the steps that are taken in them.

Failure policy: an observation without a usable frame raises before an episode begins or ends for it.
"""

from __future__ import annotations

import uuid
from collections.abc import Hashable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from shelm.aio import AsyncClient
from shelm.boundary import as_frame, invalid
from shelm.errors import EpisodeNotFound, ShelmError
from shelm.results import Act

FRAME_KEYS = ("observation/image", "image")
UNSAID = (
    'nothing says where this episode begins: send "reset": True in the first observation of each episode, or an '
    '"episode_id"; if each connection is one episode, start the adapter with --connection-is-episode'
)


class Episodes:
    """The episodes of one connection."""

    def __init__(
        self,
        client: AsyncClient,
        *,
        seeds: Iterator[int] | None = None,
        deterministic: bool | None = None,
        one: bool = False,
    ) -> None:
        """Acts through `client`. New episodes take the next of `seeds`; `one`: the connection is one episode."""
        self._client, self._seeds, self._deterministic, self._one = client, seeds, deterministic, one
        self._known = set[str]()  # of those that observations name
        self._running: dict[Hashable, str] = {}  # of the others, by env_id

    async def infer(self, observation: Mapping[str, Any]) -> Act:
        """Acts on one observation; raises ShelmError."""
        frame = as_frame(frame_in(observation))
        return await self._client.act(frame, await self._episode(observation), step=observation.get("step"))

    async def end(self) -> None:
        """Ends the episodes that observations did not name; one that cannot be ended expires."""
        for env_id in list(self._running):
            await self._end(env_id)

    async def _episode(self, observation: Mapping[str, Any]) -> str:
        named = observation.get("episode_id")
        if named is not None:
            return await self._named(str(named))
        env_id, begins = observation.get("env_id"), observation.get("reset")
        if begins:
            await self._end(env_id)
        if env_id not in self._running:
            if not begins and not self._one:
                raise invalid("reset", UNSAID)
            self._running[env_id] = await self._begin(f"openpi-{uuid.uuid4().hex}")
        return self._running[env_id]

    async def _named(self, name: str) -> str:
        if name not in self._known:
            try:
                await self._client.resume(name)
            except EpisodeNotFound:
                await self._begin(name)
            self._known.add(name)
        return name

    async def _begin(self, name: str) -> str:
        seed = next(self._seeds) if self._seeds else None
        await self._client.create_episode(name, seed=seed, deterministic=self._deterministic)
        return name

    async def _end(self, env_id: Hashable) -> None:
        if env_id in self._running:
            with suppress(ShelmError):
                await self._client.end_episode(self._running.pop(env_id), retry=False)


def frame_in(observation: Mapping[str, Any]) -> Any:
    """Returns the frame in an observation; raises InvalidArgument, which names the keys that there are."""
    for key in FRAME_KEYS:
        if key in observation:
            return observation[key]
    wanted, found = " or ".join(map(repr, FRAME_KEYS)), ", ".join(map(repr, observation)) or "none"
    raise invalid("observation", f"expected a frame under {wanted}, found the keys {found}")
