"""One channel to one server: encryption, token, timeouts, retries, health.

Every call of the contract is idempotent (Act by its step rule), so one rule repeats them all: see `shelm.status` for
what is retryable and `shelm.retry` for the pace. Failures are raised as `ShelmError`. The channel connects on the
first call, not here.
"""

import logging
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message

from shelm.errors import ShelmError, Unavailable
from shelm.retry import Attempts
from shelm.status import error_from_call
from shelm.v1 import agent_pb2_grpc

LOOPBACK = re.compile(r"^(unix:|((dns:/*|ipv[46]:))?(localhost|127(\.\d+){3}|\[::1\])(:|$))")
# grpc.health.v1 is two tiny messages; written out here, they need no further package
HEALTH = "/grpc.health.v1.Health/Check"
WHOLE_SERVER = b""  # HealthCheckRequest{service: ""}
SERVING = b"\x08\x01"  # HealthCheckResponse{status: SERVING}
logger = logging.getLogger("shelm")


@dataclass(frozen=True)
class Settings:
    """Where the server is and how to talk to it, for both transports."""

    target: str
    token: str | None = field(repr=False)
    tls: bool
    timeout: float
    """Seconds for each attempt."""
    retry_for: float
    """Seconds for all attempts of a call; 0: one attempt."""

    def __post_init__(self) -> None:
        """Warns of a token that would travel in clear text."""
        if self.token and not self.tls and not LOOPBACK.match(self.target):
            logger.warning("the token travels unencrypted to %s; use tls=True (--tls)", self.target)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    @property
    def options(self) -> list[tuple[str, int]]:
        """How the channel behaves."""
        return [
            ("grpc.initial_reconnect_backoff_ms", 100),  # gRPC's own 1 s .. 120 s would outlast the retry budget
            ("grpc.max_reconnect_backoff_ms", 2000),
            # a proxy cannot reach this machine's loopback
            ("grpc.enable_http_proxy", 0 if LOOPBACK.match(self.target) else 1),
        ]

    def attempts(self, *, retry: bool = True) -> Attempts:
        """Returns a fresh budget of attempts; without `retry`, of one."""
        return Attempts(timeout=self.timeout, retry_for=self.retry_for if retry else 0.0)

    def checked(self, answer: bytes, began: float) -> float:
        """Returns the seconds since `began`; raises Unavailable if a health check's answer is not SERVING."""
        if answer != SERVING:
            raise Unavailable(f"{self.target} answers that it is not serving", retryable=True)
        return time.monotonic() - began


class Transport:
    """Calls the methods of AgentService by name."""

    def __init__(self, settings: Settings) -> None:
        """Takes where the server is and how to talk to it."""
        self._settings = settings
        self._channel = _channel(settings)
        self._stub: Any = agent_pb2_grpc.AgentServiceStub(self._channel)

    def close(self) -> None:
        """Closes the channel; calls that still run fail with CANCELLED."""
        self._channel.close()

    def attempts(self, *, retry: bool = True) -> Attempts:
        """Returns a fresh budget of attempts; without `retry`, of one."""
        return self._settings.attempts(retry=retry)

    def call(self, method: str, request: Message, *, retry: bool = True) -> Any:
        """Returns the response of a unary method, repeating the call while that is safe and time is left."""
        attempts = self.attempts(retry=retry)
        while True:
            try:
                return self.once(method, request, timeout=attempts.timeout)
            except ShelmError as error:
                if not attempts.wait(error):
                    raise

    def once(self, method: str, request: Message, *, timeout: float) -> Any:
        """Returns the response of a unary method, called once."""
        try:
            return getattr(self._stub, method)(request, timeout=timeout, metadata=self._settings.metadata)
        except grpc.RpcError as failure:
            raise error_from_call(failure, target=self._settings.target) from None

    def stream(self, method: str, request: Message) -> Iterator[Any]:
        """Yields the messages of a server stream, without deadline or retries; closing the iterator cancels the call."""
        call = getattr(self._stub, method)(request, metadata=self._settings.metadata)
        try:
            yield from call
        except grpc.RpcError as failure:
            raise error_from_call(failure, target=self._settings.target) from None
        finally:
            call.cancel()

    def ping(self) -> float:
        """Returns the seconds that one health check took; raises Unavailable if the server is away or not serving."""
        check = self._channel.unary_unary(HEALTH, None, None)  # bytes in, bytes out
        began = time.monotonic()
        try:
            answer = check(WHOLE_SERVER, timeout=self._settings.timeout, metadata=self._settings.metadata)
        except grpc.RpcError as failure:
            raise error_from_call(failure, target=self._settings.target) from None
        return self._settings.checked(answer, began)


def _channel(settings: Settings) -> grpc.Channel:
    if settings.tls:
        return grpc.secure_channel(settings.target, grpc.ssl_channel_credentials(), options=settings.options)
    return grpc.insecure_channel(settings.target, options=settings.options)
