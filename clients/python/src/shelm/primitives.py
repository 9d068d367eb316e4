"""Channel, lock and sleep for threads. `shelm.aio.primitives` has the same for asyncio tasks, under the same names.

These are the only two modules written separately for the two clients; the other synchronous modules are generated from
`shelm.aio`.
"""

from __future__ import annotations

from threading import Lock
from time import sleep
from typing import Any

import grpc

from shelm.settings import Settings
from shelm.v1 import agent_pb2_grpc

__all__ = ["Connection", "Lock", "sleep"]


class Connection:
    """One channel to one server, which connects on the first call."""

    def __init__(self, settings: Settings) -> None:
        """Stores the address of the server and the channel options."""
        self._channel = _channel(settings)
        self.stub: Any = agent_pb2_grpc.AgentServiceStub(self._channel)
        """A stub with AgentService's methods."""

    def unary(self, method: str) -> Any:
        """Returns a unary method of any service, bytes in and bytes out."""
        return self._channel.unary_unary(method, None, None)

    def close(self) -> None:
        """Closes the channel; running calls fail with CANCELLED."""
        self._channel.close()


def _channel(settings: Settings) -> grpc.Channel:
    if settings.credentials:
        return grpc.secure_channel(settings.target, settings.credentials, options=settings.options)
    return grpc.insecure_channel(settings.target, options=settings.options)
