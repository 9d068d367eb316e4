"""A relay between client and server that can lose what passes through it.

Contract: it forwards bytes both ways. After `lose_replies` what the server sends is thrown away, after `lose_requests`
what the client sends; `cut` ends all connections at once and forwards again for those that come after.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator


class Relay:
    """Listens on a free port of loopback, in a thread of its own."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._losing_replies = self._losing_requests = False
        self._lost = 0
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

    def start(self) -> None:
        """Listens."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def stop(self) -> None:
        """Ends everything."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def lose_replies(self) -> None:
        """From now on nothing gets back to the client."""
        self._losing_replies = True

    def lose_requests(self) -> None:
        """From now on nothing gets to the server."""
        self._losing_requests = True

    def cut(self) -> None:
        """Ends all connections; later ones are good again."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_connection(self._host, self._port)
        self._writers |= {writer, their_writer}
        for task in (
            asyncio.create_task(self._forward(reader, their_writer, replies=False)),
            asyncio.create_task(self._forward(their_reader, writer, replies=True)),
        ):
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, replies: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(2**16):
                if self._losing_replies if replies else self._losing_requests:
                    self._lost += len(data)
                    continue
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._losing_replies = self._losing_requests = False

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
