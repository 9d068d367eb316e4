"""Which step comes next in each episode, and one lock per episode.

The count lives in this process only; the truth is at the server (`Client.resume` reads it). An episode that is not
known here begins with step 0. `Cursors` is for threads, `AsyncCursors` for the tasks of one event loop.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass


@dataclass
class Cursor:
    """Where one episode stands."""

    next_step: int = 0
    names_agent: bool = True
    """The first Act chooses the agent: the episode was neither created nor resumed by this client."""

    def answered(self, step: int) -> None:
        """Notes that a reply to `step` came, new or replayed; repeating an old step does not move the episode back."""
        self.next_step = max(self.next_step, step + 1)

    def resumed(self, committed_step: int | None) -> int:
        """Notes what the server has committed, None before the first step; returns the next step."""
        self.next_step = 0 if committed_step is None else committed_step + 1
        self.names_agent = False
        return self.next_step


class Cursors:
    """The cursors of all episodes."""

    def __init__(self) -> None:
        """Knows no episode."""
        self._lock = threading.Lock()
        self._cursors: dict[str, tuple[Cursor, threading.Lock]] = {}

    @contextmanager
    def hold(self, episode_id: str) -> Iterator[Cursor]:
        """Gives one episode's cursor to one thread at a time."""
        with self.hold_all([episode_id]) as cursors:
            yield cursors[episode_id]

    @contextmanager
    def hold_all(self, episode_ids: Iterable[str]) -> Iterator[dict[str, Cursor]]:
        """Gives the cursors of several episodes, locked in sorted order so that two batches cannot wait for each other."""
        with ExitStack() as locks:
            cursors = {}
            for episode_id in sorted(episode_ids):
                cursors[episode_id], lock = self._get(episode_id)
                locks.enter_context(lock)
            yield cursors

    def forget(self, episode_id: str) -> None:
        """Drops an episode that has ended, so that a long-lived client does not grow."""
        with self._lock:
            self._cursors.pop(episode_id, None)

    def _get(self, episode_id: str) -> tuple[Cursor, threading.Lock]:
        with self._lock:
            return self._cursors.setdefault(episode_id, (Cursor(), threading.Lock()))


class AsyncCursors:
    """The cursors of all episodes, for tasks instead of threads."""

    def __init__(self) -> None:
        """Knows no episode."""
        self._cursors: dict[str, tuple[Cursor, asyncio.Lock]] = {}

    @asynccontextmanager
    async def hold(self, episode_id: str) -> AsyncIterator[Cursor]:
        """Gives one episode's cursor to one task at a time, in the order in which they asked."""
        async with self.hold_all([episode_id]) as cursors:
            yield cursors[episode_id]

    @asynccontextmanager
    async def hold_all(self, episode_ids: Iterable[str]) -> AsyncIterator[dict[str, Cursor]]:
        """Gives the cursors of several episodes, locked in sorted order so that two batches cannot wait for each other."""
        async with AsyncExitStack() as locks:
            cursors = {}
            for episode_id in sorted(episode_ids):
                cursors[episode_id], lock = self._cursors.setdefault(episode_id, (Cursor(), asyncio.Lock()))
                await locks.enter_async_context(lock)
            yield cursors

    def forget(self, episode_id: str) -> None:
        """Drops an episode that has ended, so that a long-lived client does not grow."""
        self._cursors.pop(episode_id, None)
