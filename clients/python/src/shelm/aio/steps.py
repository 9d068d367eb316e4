"""The next step of each episode, with one lock per episode.

The counts exist only in this process; the authoritative state is on the server (`AsyncClient.resume` reads it).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from shelm.aio.primitives import Lock
from shelm.cursor import Cursor
from shelm.requests import text


class AsyncCursors:
    """The cursors of all episodes. Its dict is only accessed by `setdefault` and `pop`, which are atomic for str keys."""

    def __init__(self) -> None:
        """Starts without episodes."""
        self._cursors: dict[str, tuple[Cursor, Lock]] = {}

    @asynccontextmanager
    async def hold(self, episode_id: str) -> AsyncIterator[Cursor]:
        """Locks one episode and returns its cursor."""
        async with self.hold_all([episode_id]) as cursors:
            yield cursors[episode_id]

    @asynccontextmanager
    async def hold_all(self, episode_ids: Iterable[str]) -> AsyncIterator[dict[str, Cursor]]:
        """Locks several episodes in sorted order, so that two batches cannot deadlock, and returns their cursors."""
        async with AsyncExitStack() as locks:
            cursors = {}
            for episode_id in sorted(text("episode_id", name) for name in episode_ids):
                cursors[episode_id], lock = self._cursors.setdefault(episode_id, (Cursor(), Lock()))
                await locks.enter_async_context(lock)
            yield cursors

    def forget(self, episode_id: str) -> None:
        """Removes an ended episode, so that the memory use of a long-lived client does not grow."""
        self._cursors.pop(episode_id, None)
