"""A relay between client and server that can lose, hold or delay what passes through it.

Contract: it forwards bytes both ways. After `lose_replies` what the server sends is thrown away, after `lose_requests`
what the client sends, after `silence` both; after `forget` both as well, but only on the connections that there are then.
`delay` makes every piece late; `tear` ends connections in the middle of a message; `half_open` ends them towards the server
only; `hold` forwards nothing until `release`. `cut` ends all connections at once and forwards again for those that come
after.
"""

import asyncio
import contextlib
import random
import threading
from collections.abc import Coroutine, Iterator
from typing import Any


class Relay:
    """Listens on a free port of loopback, in a thread of its own."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._to_server: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._losing_replies = self._losing_requests = False
        self._delay, self._tear_after = 0.0, -1
        self._open = asyncio.Event()
        self._open.set()
        self._lost = self._held = 0
        self._accepted = self._forgotten = 0
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever)

    @property
    def target(self) -> str:
        """Where a client connects."""
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def lost(self) -> int:
        """Bytes thrown away so far."""
        return self._lost

    @property
    def held(self) -> int:
        """Bytes that waited for `release` so far."""
        return self._held

    @property
    def accepted(self) -> int:
        """Connections so far."""
        return self._accepted

    def start(self) -> None:
        """Listens."""
        self._thread.start()
        self._in_loop(self._listen())

    def stop(self) -> None:
        """Ends everything."""
        self._in_loop(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def lose_replies(self) -> None:
        """From now on nothing gets back to the client."""
        self._losing_replies = True

    def lose_requests(self) -> None:
        """From now on nothing gets to the server."""
        self._losing_requests = True

    def silence(self) -> None:
        """From now on nothing passes, and no connection ends."""
        self._losing_replies = self._losing_requests = True

    def forget(self) -> None:
        """Nothing passes any more over the connections that there are, and none of them ends; new ones are good."""
        self._forgotten = self._accepted

    def delay(self) -> None:
        """From now on every piece is late, each by another time."""
        self._delay = 0.1

    def tear(self) -> None:
        """Every connection ends after a few more bytes."""
        self._tear_after = 100

    def half_open(self) -> None:
        """Ends the connections towards the server; the clients are told nothing."""
        self._losing_requests = True
        self._in_loop(self._half_open())

    def hold(self) -> None:
        """From now on nothing passes until `release`."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def release(self) -> None:
        """What was held passes, and all that follows."""
        self._loop.call_soon_threadsafe(self._open.set)

    def cut(self) -> None:
        """Ends all connections; later ones are good again."""
        self._in_loop(self._cut())

    def _in_loop(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._accepted += 1
        number = self._accepted
        their_reader, their_writer = await asyncio.open_connection(self._host, self._port)
        self._writers |= {writer, their_writer}
        self._to_server.add(their_writer)
        for task in (
            asyncio.create_task(self._forward(reader, their_writer, number, replies=False)),
            asyncio.create_task(self._forward(their_reader, writer, number, replies=True)),
        ):
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int, *, replies: bool
    ) -> None:
        """Passes on what comes, of the connection of this number."""
        with contextlib.suppress(OSError):
            while data := await reader.read(2**16):
                if number <= self._forgotten or (self._losing_replies if replies else self._losing_requests):
                    self._lost += len(data)
                    continue
                if not self._open.is_set():
                    self._held += len(data)
                    await self._open.wait()
                if self._delay:
                    await asyncio.sleep(random.uniform(0, self._delay))
                if self._tear_after >= 0:
                    writer.write(data[: self._tear_after])
                    break
                writer.write(data)
                await writer.drain()
        if number <= self._forgotten or (replies and self._losing_requests):
            return  # half open: the client is not told that the server is gone, nor either of them where both are forgotten
        writer.close()

    async def _half_open(self) -> None:
        for writer in self._to_server:
            writer.transport.abort()

    async def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        self._to_server.clear()
        self._open.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._losing_replies = self._losing_requests = False
        self._delay, self._tear_after = 0.0, -1

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._cut()


@contextlib.contextmanager
def relay_to(target: str) -> Iterator[Relay]:
    """A running relay."""
    relay = Relay(target)
    relay.start()
    try:
        yield relay
    finally:
        relay.stop()
