"""One channel to one server: encryption, token, timeouts, retries, health.

Every call of the contract is idempotent (Act by its step rule), so one rule repeats them all: see `shelm.status` for
what is retryable and `shelm.retry` for the pace. Failures are raised as `ShelmError`. The channel connects on the
first call, not here.
"""

import logging
import re
import time
from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.message import Message

from shelm.errors import ShelmError, Unavailable
from shelm.retry import Attempts
from shelm.status import error_from_call
from shelm.v1 import agent_pb2_grpc

LOOPBACK = re.compile(r"^(unix:|((dns:/*|ipv[46]:))?(localhost|127(\.\d+){3}|\[::1\])(:|$))")
# grpc.health.v1 is two tiny messages; written out here, they need no further package
WHOLE_SERVER = b""  # HealthCheckRequest{service: ""}
SERVING = b"\x08\x01"  # HealthCheckResponse{status: SERVING}
logger = logging.getLogger("shelm")


class Transport:
    """Calls the methods of AgentService by name."""

    def __init__(self, target: str, *, token: str | None, tls: bool, timeout: float, retry_for: float) -> None:
        """Takes a gRPC target, a bearer token, whether to encrypt, seconds per attempt and seconds for all attempts."""
        self._target, self._timeout, self._retry_for = target, timeout, retry_for
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        if token and not tls and not LOOPBACK.match(target):
            logger.warning("the token travels unencrypted to %s; use tls=True (--tls)", target)
        self._channel = _channel(target, tls=tls)
        self._stub: Any = agent_pb2_grpc.AgentServiceStub(self._channel)

    def close(self) -> None:
        """Closes the channel; calls that still run fail with CANCELLED."""
        self._channel.close()

    def attempts(self, *, retry: bool = True) -> Attempts:
        """Returns a fresh budget of attempts; without `retry`, of one."""
        return Attempts(timeout=self._timeout, retry_for=self._retry_for if retry else 0.0)

    def call(self, method: str, request: Message, *, retry: bool = True) -> Any:
        """Returns the response of a unary method, repeating the call while that is safe and time is left."""
        attempts = self.attempts(retry=retry)
        while True:
            try:
                return self.once(method, request, timeout=attempts.timeout)
            except ShelmError as error:
                attempts.wait_or_raise(error)

    def once(self, method: str, request: Message, *, timeout: float) -> Any:
        """Returns the response of a unary method, called once."""
        try:
            return getattr(self._stub, method)(request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as failure:
            raise error_from_call(failure, target=self._target) from None

    def stream(self, method: str, request: Message) -> Iterator[Any]:
        """Yields the messages of a server stream, without deadline or retries; closing the iterator cancels the call."""
        call = getattr(self._stub, method)(request, metadata=self._metadata)
        try:
            yield from call
        except grpc.RpcError as failure:
            raise error_from_call(failure, target=self._target) from None
        finally:
            call.cancel()

    def ping(self) -> float:
        """Returns the seconds that one health check took; raises Unavailable if the server is away or not serving."""
        check = self._channel.unary_unary("/grpc.health.v1.Health/Check", None, None)  # bytes in, bytes out
        began = time.monotonic()
        try:
            answer = check(WHOLE_SERVER, timeout=self._timeout, metadata=self._metadata)
        except grpc.RpcError as failure:
            raise error_from_call(failure, target=self._target) from None
        if answer != SERVING:
            raise Unavailable(f"{self._target} answers that it is not serving", retryable=True)
        return time.monotonic() - began


def _channel(target: str, *, tls: bool) -> grpc.Channel:
    options = [
        ("grpc.initial_reconnect_backoff_ms", 100),  # gRPC's own 1 s .. 120 s would outlast the retry budget
        ("grpc.max_reconnect_backoff_ms", 2000),
        ("grpc.enable_http_proxy", 0 if LOOPBACK.match(target) else 1),  # a proxy cannot reach this machine's loopback
    ]
    if tls:
        return grpc.secure_channel(target, grpc.ssl_channel_credentials(), options=options)
    return grpc.insecure_channel(target, options=options)
