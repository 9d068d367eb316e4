# Generated from aio/steps.py by tools/unasync_client.py (`make client`). Not edited by hand.
"""The next step of each episode, with one lock per episode.

The counts exist only in this process; the authoritative state is on the server (`Client.resume` reads it).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from shelm.cursor import Cursor
from shelm.primitives import Lock
from shelm.requests import text


class Cursors:
    """The cursors of all episodes. Its dict is only accessed by `setdefault` and `pop`, which are atomic for str keys."""

    def __init__(self) -> None:
        """Starts without episodes."""
        self._cursors: dict[str, tuple[Cursor, Lock]] = {}

    @contextmanager
    def hold(self, episode_id: str) -> Iterator[Cursor]:
        """Locks one episode and returns its cursor."""
        with self.hold_all([episode_id]) as cursors:
            yield cursors[episode_id]

    @contextmanager
    def hold_all(self, episode_ids: Iterable[str]) -> Iterator[dict[str, Cursor]]:
        """Locks several episodes in sorted order, so that two batches cannot deadlock, and returns their cursors."""
        with ExitStack() as locks:
            cursors = {}
            for episode_id in sorted(text("episode_id", name) for name in episode_ids):
                cursors[episode_id], lock = self._cursors.setdefault(episode_id, (Cursor(), Lock()))
                locks.enter_context(lock)
            yield cursors

    def forget(self, episode_id: str) -> None:
        """Removes an ended episode, so that the memory use of a long-lived client does not grow."""
        self._cursors.pop(episode_id, None)
