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

from shelm.errors import OtherEventLoop
from shelm.settings import Settings
from shelm.v1 import agent_pb2_grpc

__all__ = ["AsyncConnection", "Lock", "sleep"]


class AsyncConnection:
    """One channel to one server, which connects on the first call."""

    def __init__(self, settings: Settings) -> None:
        """Stores the address of the server and the channel options."""
        self._settings = settings
        self._loop: AbstractEventLoop | None = None

    @property
    def stub(self) -> Any:
        """A stub with AgentService's methods."""
        return self._own()._stub

    def unary(self, method: str) -> Any:
        """Returns a unary method of any service, bytes in and bytes out."""
        return self._own()._channel.unary_unary(method, None, None)

    async def close(self) -> None:
        """Closes the channel; running calls are cancelled. A channel of a loop that has ended went with it."""
        if self._loop is get_running_loop():
            await self._channel.close(None)

    def _own(self) -> AsyncConnection:
        """Returns this connection if it belongs to the running event loop; the first call decides which that is."""
        running = get_running_loop()
        self._loop = self._loop or running
        if self._loop is not running:
            raise OtherEventLoop(f"the AsyncClient of {self._settings.target} belongs to another event loop")
        return self

    @cached_property
    def _stub(self) -> Any:
        return agent_pb2_grpc.AgentServiceStub(self._channel)

    @cached_property
    def _channel(self) -> grpc.aio.Channel:
        target, options = self._settings.target, self._settings.options
        if self._settings.credentials:
            return grpc.aio.secure_channel(target, self._settings.credentials, options=options)
        return grpc.aio.insecure_channel(target, options=options)
