"""One grpc.aio channel to one server; see `shelm.transport`.

The channel is made at the first call, because it belongs to the event loop that runs then: an AsyncClient may be
made anywhere, but serves one event loop. A task that is cancelled cancels its call; the server may have committed it.
"""

import time
from collections.abc import AsyncGenerator
from functools import cached_property
from typing import Any

import grpc
from google.protobuf.message import Message

from shelm.errors import ShelmError
from shelm.retry import Attempts
from shelm.status import error_from_call
from shelm.transport import HEALTH, WHOLE_SERVER, Settings
from shelm.v1 import agent_pb2_grpc


class AsyncTransport:
    """Calls the methods of AgentService by name."""

    def __init__(self, settings: Settings) -> None:
        """Takes where the server is and how to talk to it."""
        self._settings = settings

    async def close(self) -> None:
        """Closes the channel; calls that still run are cancelled."""
        await self._channel.close(None)

    def attempts(self, *, retry: bool = True) -> Attempts:
        """Returns a fresh budget of attempts; without `retry`, of one."""
        return self._settings.attempts(retry=retry)

    async def call(self, method: str, request: Message, *, retry: bool = True) -> Any:
        """Returns the response of a unary method, repeating the call while that is safe and time is left."""
        attempts = self.attempts(retry=retry)
        while True:
            try:
                return await self.once(method, request, timeout=attempts.timeout)
            except ShelmError as error:
                if not await attempts.wait_async(error):
                    raise

    async def once(self, method: str, request: Message, *, timeout: float) -> Any:
        """Returns the response of a unary method, called once."""
        try:
            return await getattr(self._stub, method)(request, timeout=timeout, metadata=self._settings.metadata)
        except grpc.RpcError as failure:
            raise error_from_call(failure, target=self._settings.target) from None

    async def stream(self, method: str, request: Message) -> AsyncGenerator[Any, None]:
        """Yields the messages of a server stream, without deadline or retries; closing the iterator cancels the call."""
        call = getattr(self._stub, method)(request, metadata=self._settings.metadata)
        try:
            async for response in call:
                yield response
        except grpc.RpcError as failure:
            raise error_from_call(failure, target=self._settings.target) from None
        finally:
            call.cancel()

    async def ping(self) -> float:
        """Returns the seconds that one health check took; raises Unavailable if the server is away or not serving."""
        check = self._channel.unary_unary(HEALTH, None, None)  # bytes in, bytes out
        began = time.monotonic()
        try:
            answer = await check(WHOLE_SERVER, timeout=self._settings.timeout, metadata=self._settings.metadata)
        except grpc.RpcError as failure:
            raise error_from_call(failure, target=self._settings.target) from None
        return self._settings.checked(answer, began)

    @cached_property
    def _channel(self) -> grpc.aio.Channel:
        target, options = self._settings.target, self._settings.options
        if self._settings.tls:
            return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), options=options)
        return grpc.aio.insecure_channel(target, options=options)

    @cached_property
    def _stub(self) -> Any:
        return agent_pb2_grpc.AgentServiceStub(self._channel)
