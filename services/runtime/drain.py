"""`Drain`: the last seconds of a server, in which what is under way ends and new work is refused in words.

Contract: `with drain` stands around each call; until `begin` it only counts them. From then on it refuses them with
SERVER_STOPPING, and streams inside `until` end with it. `finish` returns when no call is under way and none has come for
`QUIET` seconds, so that none is in the pipes when the connections are closed, or after the seconds that it is given. A call
whose message is `arriving` is not under way.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

from services.runtime.errors import message_late, server_stopping

QUIET = 0.1  # seconds; a refused client comes back after STOPPING_RETRY
LOOK = 0.02  # seconds
Item = TypeVar("Item")


class Drain:
    """Counts the calls under way, and refuses those that come while the server stops."""

    def __init__(self) -> None:
        self._running, self._latest = 0, 0.0
        self._begun, self._done = asyncio.Event(), asyncio.Event()
        self._arriving = set[asyncio.Timeout]()

    def __enter__(self) -> None:
        """Around each call; ServiceError if it came too late."""
        if self._begun.is_set():
            self._latest = time.monotonic()
            raise server_stopping()
        self._running += 1

    def __exit__(self, *_: object) -> None:
        """The call has ended."""
        self._running -= 1

    def until(self, items: AsyncIterator[Item]) -> AsyncIterator[Item]:
        """The items that come before the server stops, then ServiceError."""
        return _until(self._begun, items)

    async def until_done(self, watching: Awaitable[None]) -> None:
        """Waits for `watching`, but not longer than the drain lasts: then ServiceError."""
        work, done = asyncio.ensure_future(watching), asyncio.create_task(self._done.wait())
        try:
            await asyncio.wait((work, done), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise server_stopping()
            work.result()
        finally:
            work.cancel()
            done.cancel()

    async def arriving(self, message: Awaitable[Item], patience: float) -> Item:
        """Waits for a message, `patience` seconds and no longer than the drain lasts: then ServiceError."""
        try:
            async with asyncio.timeout(patience) as limit:
                self._arriving.add(limit)
                try:
                    return await message
                finally:
                    self._arriving.discard(limit)
        except TimeoutError:
            raise (server_stopping() if self._done.is_set() else message_late(patience)) from None

    def begin(self) -> None:
        """Refuses from now on."""
        self._latest = time.monotonic()
        self._begun.set()

    async def finish(self, seconds: float) -> None:
        """Waits, `seconds` at most, until nothing is under way and nothing comes; then ends all that waits."""
        end = time.monotonic() + seconds
        while (self._running or time.monotonic() < self._latest + QUIET) and time.monotonic() < end:  # noqa: ASYNC110  time passes too
            await asyncio.sleep(LOOK)
        self._done.set()
        for limit in self._arriving:
            limit.reschedule(asyncio.get_running_loop().time())


async def _until(over: asyncio.Event, items: AsyncIterator[Item]) -> AsyncIterator[Item]:
    ending = asyncio.create_task(over.wait())
    following: asyncio.Future[Item] | None = None
    try:
        while True:
            following = asyncio.ensure_future(anext(items))
            await asyncio.wait((following, ending), return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                raise server_stopping()
            try:
                item = following.result()
            except StopAsyncIteration:
                return
            yield item
    finally:
        ending.cancel()
        if following:
            following.cancel()
