"""Which step comes next in each episode, and one lock per episode.

The count lives in this process only; the truth is at the server (`AsyncClient.resume` reads it).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from shelm.aio.primitives import Lock
from shelm.cursor import Cursor


class AsyncCursors:
    """The cursors of all episodes. Its dict is touched by `setdefault` and `pop` alone, which are atomic for str keys."""

    def __init__(self) -> None:
        """Knows no episode."""
        self._cursors: dict[str, tuple[Cursor, Lock]] = {}

    @asynccontextmanager
    async def hold(self, episode_id: str) -> AsyncIterator[Cursor]:
        """Gives one episode's cursor to one holder at a time."""
        async with self.hold_all([episode_id]) as cursors:
            yield cursors[episode_id]

    @asynccontextmanager
    async def hold_all(self, episode_ids: Iterable[str]) -> AsyncIterator[dict[str, Cursor]]:
        """Gives the cursors of several episodes, locked in sorted order so that two batches cannot wait for each other."""
        async with AsyncExitStack() as locks:
            cursors = {}
            for episode_id in sorted(episode_ids):
                cursors[episode_id], lock = self._cursors.setdefault(episode_id, (Cursor(), Lock()))
                await locks.enter_async_context(lock)
            yield cursors

    def forget(self, episode_id: str) -> None:
        """Drops an episode that has ended, so that a long-lived client does not grow."""
        self._cursors.pop(episode_id, None)
