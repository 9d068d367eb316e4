# Generated from aio/transport.py by tools/unasync_client.py (`make client`). Not edited by hand.
"""Calls to one server: token, timeouts, retries, health.

Every call of the API is idempotent (Act by its step rule), so the same retry policy applies to all of them: `shelm.status`
defines which errors are retryable and `shelm.retry` the delays. Failures are raised as `ShelmError`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.message import Message

from shelm.errors import ClientClosed, ShelmError, Unavailable
from shelm.primitives import Connection
from shelm.retry import Attempts
from shelm.routing import episode_metadata
from shelm.settings import Settings
from shelm.status import error_from_call

# grpc.health.v1 has two tiny messages; with their bytes here, no further package is needed
HEALTH = "/grpc.health.v1.Health/Check"
WHOLE_SERVER = b""  # HealthCheckRequest{service: ""}
SERVING = b"\x08\x01"  # HealthCheckResponse{status: SERVING}


class Transport:
    """Calls the methods of AgentService by name."""

    def __init__(self, settings: Settings) -> None:
        """Stores the address of the server and the settings of the connection."""
        self._settings = settings
        self._connection = Connection(settings)
        self._closed = False

    @property
    def target(self) -> str:
        """The address of the server."""
        return self._settings.target

    def close(self) -> None:
        """Closes the channel; running calls fail and are not retried."""
        self._closed = True
        self._connection.close()

    def attempts(self, *, retry: bool = True) -> Attempts:
        """Returns a new budget of attempts; a single attempt if `retry` is False."""
        return Attempts(timeout=self._settings.timeout, retry_for=self._settings.retry_for if retry else 0.0)

    def call(self, method: str, request: Message, *, retry: bool = True) -> Any:
        """Returns the response of a unary method, retrying transient errors while the budget lasts."""
        attempts = self.attempts(retry=retry)
        while True:
            try:
                return self.once(method, request, timeout=attempts.timeout)
            except ShelmError as error:
                if not attempts.wait(error):
                    raise

    def once(self, method: str, request: Message, *, timeout: float) -> Any:
        """Returns the response of a unary method, called once."""
        return self._answer(getattr(self._opened().stub, method), request, timeout)

    @contextmanager
    def stream(self, method: str, request: Message) -> Iterator[Any]:
        """Opens a server stream for `for`, without deadline or retries; leaving the block cancels the call."""
        call = getattr(self._opened().stub, method)(request, metadata=self._metadata(request))
        try:
            yield call
        except grpc.RpcError as failure:
            raise self._error(failure) from None
        finally:
            call.cancel()

    def ping(self) -> float:
        """Returns the duration of one health check in seconds; raises Unavailable if the server cannot be reached or is not
        ready.
        """
        began = time.monotonic()
        answer = self._answer(self._opened().unary(HEALTH), WHOLE_SERVER, self._settings.timeout)
        if answer != SERVING:
            raise Unavailable(f"{self._settings.target} answers that it is not serving", retryable=True)
        return time.monotonic() - began

    def _opened(self) -> Connection:
        if self._closed:
            raise ClientClosed(f"the client of {self._settings.target} is closed")
        return self._connection

    def _answer(self, method: Any, request: Message | bytes, timeout: float) -> Any:
        began = time.monotonic()
        try:
            answer = method(request, timeout=timeout, metadata=self._metadata(request))
        except grpc.RpcError as failure:
            self._connection.failed(failure, began)
            raise self._error(failure) from None
        self._connection.answered()
        return answer

    def _metadata(self, request: Message | bytes) -> tuple[tuple[str, str], ...]:
        return (*self._settings.metadata, *episode_metadata(request))

    def _error(self, failure: grpc.RpcError) -> ShelmError:
        error = error_from_call(failure, target=self._settings.target)
        if self._closed:
            error.retryable = False
        return error
