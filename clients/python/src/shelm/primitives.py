"""Channel, lock and sleep for threads. `shelm.aio.primitives` has the same for asyncio tasks, under the same names.

These are the only two modules written separately for the two clients; the other synchronous modules are generated from
`shelm.aio`.
"""

from __future__ import annotations

from threading import Lock
from time import sleep
from typing import Any

import grpc

from shelm.channel import Silence
from shelm.settings import Settings
from shelm.v1 import agent_pb2_grpc

__all__ = ["Connection", "Lock", "sleep"]


class Connection:
    """A channel to one server, which connects on the first call, and another one where the first falls silent."""

    def __init__(self, settings: Settings) -> None:
        """Stores the address of the server and the channel options."""
        self._settings, self._renewing = settings, Lock()
        self._retired: grpc.Channel | None = None
        self._open()

    def unary(self, method: str) -> Any:
        """Returns a unary method of any service, bytes in and bytes out."""
        return self._channel.unary_unary(method, None, None)

    def answered(self) -> None:
        """Notes that something came from the server."""
        self._silence.answered()

    def failed(self, error: grpc.RpcError, began: float) -> None:
        """Notes that a call failed which began then (`time.monotonic`); later ones take another channel if it is silent."""
        with self._renewing:
            if self._silence.failed(error, began):
                self._renew()

    def close(self) -> None:
        """Closes the channels; running calls fail with CANCELLED."""
        with self._renewing:
            if self._retired:
                self._retired.close()
            self._channel.close()

    def _open(self) -> None:
        self._silence = Silence()
        self._channel = _channel(self._settings)
        self.stub: Any = agent_pb2_grpc.AgentServiceStub(self._channel)
        """A stub with AgentService's methods."""

    def _renew(self) -> None:
        """Opens another channel. Calls under way may still end on the one before, until that is followed by another."""
        if self._retired:
            self._retired.close()
        self._retired = self._channel
        self._open()


def _channel(settings: Settings) -> grpc.Channel:
    if settings.credentials:
        return grpc.secure_channel(settings.target, settings.credentials, options=settings.options)
    return grpc.insecure_channel(settings.target, options=settings.options)
