"""Connections to other gRPC servers of ours, with TLS whose certificates are read again when their files change.

Contract: `open_channel` gives what a stub takes. After a change, or where the caller's `Silence` says so, calls go over a
new connection; those under way end on the one before. Failure policy: that of `grpc.aio`; a handshake that fails is
UNAVAILABLE, of which `handshake_problem` says why.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import grpc

from services.runtime.tls import TlsFiles

log = logging.getLogger(__name__)
OLD_SECONDS = 300.0  # that calls under way get at a channel that was replaced
Option = tuple[str, Any]


class Silence(Protocol):
    """Whether a channel has fallen silent: `shelm.channel.Silence`."""

    def answered(self) -> None:
        """Notes that something came from the server."""

    def failed(self, error: grpc.RpcError, began: float) -> bool:
        """Notes a call that failed and when it began; returns whether another channel should be opened."""


def open_channel(
    target: str, options: Sequence[Option], tls: TlsFiles | None, *, silence: Callable[[], Silence], name: str = ""
) -> "Channel":
    """A channel. silence: made anew for each connection. name: what the server's certificate must be for, if not the host
    of `target`.
    """

    def connect() -> grpc.aio.Channel:
        if tls is None:
            return grpc.aio.insecure_channel(target, options=options)
        named = [*options, ("grpc.ssl_target_name_override", name)] if name else options
        return grpc.aio.secure_channel(target, _credentials(tls), options=named)

    return Channel(target, connect, tls, silence)


def handshake_problem(error: Exception) -> str:
    """Why a handshake failed, with the variable to look at; empty if the call failed for another reason."""
    details = (error.details() or "") if isinstance(error, grpc.aio.AioRpcError) else ""
    return next((text for sign, text in _PROBLEMS if sign in details), "")


_PROBLEMS = (
    ("BAD_SIGNATURE", "its certificate is not signed by SHELM_BACKEND_CA, but by an authority of the same name"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not signed by SHELM_BACKEND_CA, or has expired"),
    ("ostname Verification", "its certificate is for another host name"),
    ("not in peer certificate", "its certificate is for another host name"),
    ("WRONG_VERSION_NUMBER", "it speaks no TLS; SHELM_BACKEND_CA is set"),
    ("andshake failed", "the TLS handshake failed; see SHELM_BACKEND_CA"),
)


def _credentials(tls: TlsFiles) -> grpc.ChannelCredentials:
    pems = tls.now()
    return grpc.ssl_channel_credentials(pems.authority, pems.key or None, pems.certificate or None)


class Channel:
    """As much of a channel as a stub needs, over the newest of several. Whoever calls tells what came of it."""

    def __init__(
        self,
        target: str,
        connect: Callable[[], grpc.aio.Channel],
        tls: TlsFiles | None,
        silence: Callable[[], Silence],
    ) -> None:
        self._target, self._connect, self._tls, self._make_silence = target, connect, tls, silence
        self._pems, self._channel, self._silence = tls and tls.now(), connect(), silence()
        self._closing: set[asyncio.Task[None]] = set()

    def answered(self) -> None:
        """Notes that something came from the server."""
        self._silence.answered()

    def failed(self, error: Exception, began: float) -> None:
        """Notes that a call failed which began then (`time.monotonic`); later ones take another channel if it is silent."""
        if isinstance(error, grpc.aio.AioRpcError) and self._silence.failed(error, began):
            log.warning("nothing comes from %s; connecting anew", self._target)
            self._renew()

    def __getattr__(self, kind: str) -> Any:
        """unary_unary and the other kinds of methods: what makes a call, at the channel of that time."""
        if kind not in ("unary_unary", "unary_stream", "stream_unary", "stream_stream"):
            raise AttributeError(kind)

        def method(*arguments: Any, **options: Any) -> Callable[..., Any]:
            made: list[Any] = [None, None]  # a channel, and its multicallable

            def call(*arguments_of_call: Any, **options_of_call: Any) -> Any:
                if (channel := self._newest()) is not made[0]:
                    made[:] = channel, getattr(channel, kind)(*arguments, **options)
                return made[1](*arguments_of_call, **options_of_call)

            return call

        return method

    async def close(self, grace: float | None = None) -> None:
        """Closes the newest; those before close by themselves."""
        await self._channel.close(grace)

    def _newest(self) -> grpc.aio.Channel:
        if self._tls and (pems := self._tls.now()) is not self._pems:
            self._pems = pems
            self._renew()
        return self._channel

    def _renew(self) -> None:
        closing = asyncio.ensure_future(self._channel.close(OLD_SECONDS))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        self._channel, self._silence = self._connect(), self._make_silence()
