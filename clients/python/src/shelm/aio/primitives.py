"""Channel, lock and sleep for asyncio tasks. `shelm.primitives` has the same for threads, under the same names.

The channel is created at the first call, because it belongs to the event loop running then; a call in another loop raises
OtherEventLoop. A cancelled task cancels its
call; the server may have committed it nevertheless.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, Lock, get_running_loop, sleep
from functools import cached_property
from typing import Any

import grpc

from shelm.channel import Silence
from shelm.errors import OtherEventLoop
from shelm.settings import Settings
from shelm.v1 import agent_pb2_grpc

__all__ = ["AsyncConnection", "Lock", "sleep"]


class AsyncConnection:
    """A channel to one server, which connects on the first call, and another one where the first falls silent."""

    def __init__(self, settings: Settings) -> None:
        """Stores the address of the server and the channel options."""
        self._settings = settings
        self._loop: AbstractEventLoop | None = None
        self._retired: grpc.aio.Channel | None = None

    @property
    def stub(self) -> Any:
        """A stub with AgentService's methods."""
        return self._own()._opened.stub

    def unary(self, method: str) -> Any:
        """Returns a unary method of any service, bytes in and bytes out."""
        return self._own()._opened.channel.unary_unary(method, None, None)

    def answered(self) -> None:
        """Notes that something came from the server."""
        self._opened.silence.answered()

    async def failed(self, error: grpc.RpcError, began: float) -> None:
        """Notes that a call failed which began then (`time.monotonic`); later ones take another channel if it is silent."""
        if self._opened.silence.failed(error, began):
            await self._renew()

    async def close(self) -> None:
        """Closes the channels; running calls are cancelled. Channels of a loop that has ended went with it."""
        if self._loop is get_running_loop():
            if self._retired:
                await self._retired.close(None)
            await self._opened.channel.close(None)

    def _own(self) -> AsyncConnection:
        """Returns this connection if it belongs to the running event loop; the first call decides which that is."""
        running = get_running_loop()
        self._loop = self._loop or running
        if self._loop is not running:
            raise OtherEventLoop(f"the AsyncClient of {self._settings.target} belongs to another event loop")
        return self

    @cached_property
    def _opened(self) -> _Opened:
        return _Opened(self._settings)

    async def _renew(self) -> None:
        """Opens another channel. Calls under way may still end on the one before, until that is followed by another."""
        before, self._retired = self._retired, self._opened.channel
        self._opened = _Opened(self._settings)
        if before:
            await before.close(None)


class _Opened:
    """A channel, what calls over it, and how long it has been silent."""

    def __init__(self, settings: Settings) -> None:
        self.channel = _channel(settings)
        self.stub: Any = agent_pb2_grpc.AgentServiceStub(self.channel)
        self.silence = Silence()


def _channel(settings: Settings) -> grpc.aio.Channel:
    if settings.credentials:
        return grpc.aio.secure_channel(settings.target, settings.credentials, options=settings.options)
    return grpc.aio.insecure_channel(settings.target, options=settings.options)
