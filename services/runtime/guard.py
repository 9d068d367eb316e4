"""The interceptor around every call: authentication, error translation, metrics, traces, and the end of a server's life.

Contract: a `ServiceError` ends the call with its details; any other exception is logged with its traceback and ends the call
with INTERNAL and nothing but a reference to the log. Without a token that may, a call is refused before its message is taken
from the wire; one that is not the method's message is INVALID_ARGUMENT. Health and reflection need no token. A stream ends
with its token: nothing that comes in or would go out once that is no longer in the file counts.

A message has `patience` seconds to arrive, DEADLINE after them; of some methods an account may have a number of calls under
way, QUEUE_FULL beyond. A call whose message has not come holds no place there and does not keep the server from stopping.

Once `drain` has begun every new call is refused with SERVER_STOPPING, calls under way end as if nothing had happened, and
streams end with SERVER_STOPPING after the answers to what they have received.
"""

import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from services.runtime import traces
from services.runtime.auth import authorize, caller, in_own_words, set_caller
from services.runtime.drain import Drain
from services.runtime.errors import ServiceError, abort, too_many
from services.runtime.in_flight import InFlight
from services.runtime.telemetry import CALLS, FAULTS, refused
from services.runtime.tokens import TokensFile

log = logging.getLogger(__name__)
_OPEN = ("/grpc.health.v1.", "/grpc.reflection.")
PATIENCE = 20.0  # seconds
OPEN_PATIENCE = 5.0  # the same where no token is needed; such messages are tiny


class Guard(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # not subscriptable when it runs
    """scopes: method name -> scope that its caller needs; scope: what the methods not named need. most: method name -> calls
    of it that an account may have under way; no limit where it is not named. patience: seconds for a message to arrive.
    """

    def __init__(
        self,
        *,
        domain: str,
        tokens: TokensFile,
        scopes: Mapping[str, str],
        scope: str = "act",
        most: Mapping[str, int] | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._domain, self._tokens, self._scopes, self._scope = domain, tokens, scopes, scope
        self._most, self._patience = most or {}, patience
        self._tracer = traces.tracer()
        self._wrapped: dict[str, Any] = {}  # handlers by method
        self.drain = Drain()

    async def intercept_service(self, continuation: Callable[..., Awaitable[Any]], details: Any) -> Any:
        """Wraps the handler of a method, once; refuses a call without a token that may."""
        method = details.method
        try:
            self._check(method, details.invocation_metadata)
        except ServiceError as error:
            return self._refusing(method, error)
        if method not in self._wrapped:
            handler = await continuation(details)
            if handler is None:
                return handler
            if method.startswith(_OPEN):
                self._wrapped[method] = self._open(handler, method)
                return self._wrapped[method]
            self._wrapped[method] = (self._streaming if handler.response_streaming else self._unary)(handler, method)
        return self._wrapped[method]

    def _unary(self, handler: Any, method: str) -> Any:
        calls, tracer, place = CALLS.labels(method, "OK"), self._tracer, self._place(method)

        async def call(_: object, context: Any) -> Any:
            try:
                message = await self._arriving(context, self._patience)
                with self.drain, place():
                    reply = await handler.unary_unary(_parse(handler, message), context)
            except Exception as error:
                await self._fail(method, context, error)
            calls.inc()
            return reply

        async def traced(_: object, context: Any) -> Any:
            assert tracer
            with tracer.server(method, _metadata(context)):
                return await call(_, context)

        # On the wire the same as a unary method; but here the message is waited for, and not in gRPC, which waits for ever.
        return grpc.stream_unary_rpc_method_handler(traced if tracer else call, None, handler.response_serializer)

    def _streaming(self, handler: Any, method: str) -> Any:
        calls, place = CALLS.labels(method, "OK"), self._place(method)

        async def call(messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[Any]:
            if self._tracer:
                self._tracer.listen(_metadata(context))  # no span of its own: it may last for days
            try:
                first = None if handler.request_streaming else await self._arriving(context, self._patience)
                with self.drain, place():
                    still = self._still(method, context)
                    async for reply in self._replies(handler, messages if first is None else first, context, still):
                        still()
                        yield reply
            except Exception as error:
                await self._fail(method, context, error)
            calls.inc()

        return grpc.stream_stream_rpc_method_handler(call, None, handler.response_serializer)

    def _place(self, method: str) -> Callable[[], AbstractContextManager[None]]:
        """Makes what stands around each call of a method whose message is there."""
        name = method.rpartition("/")[2]
        if name not in self._most:
            return nullcontext
        return InFlight(self._most[name], partial(too_many, f"{name} calls", self._most[name])).place

    def _still(self, method: str, context: Any) -> Callable[[], None]:
        """Raises a ServiceError where the token that a stream began with is not valid any more, or is another tenant's."""
        seen, begun = self._tokens.now(), caller()

        def still() -> None:
            nonlocal seen
            if (tokens := self._tokens.now()) is not seen:
                seen = tokens
                self._check(method, context.invocation_metadata())
                if caller().tenant != begun.tenant:
                    set_caller(begun)
                    text = "the token is another tenant's now; begin the stream again"
                    raise ServiceError(grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", text)

        return still

    def _replies(self, handler: Any, request: Any, context: Any, still: Callable[[], None]) -> AsyncIterator[Any]:
        """What a stream answers. While the server drains no more requests are read; those that it has got are answered."""
        if handler.request_streaming:
            replies: AsyncIterator[Any] = handler.stream_stream(
                self.drain.until(_parse_all(handler, request, still)), context
            )
            return replies
        return self.drain.until(handler.unary_stream(_parse(handler, request), context))

    def _open(self, handler: Any, method: str) -> Any:
        """Health and reflection, which go on while the server drains. A watch of health ends when all else has ended."""
        if handler.request_streaming:

            async def stream(messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[Any]:
                try:
                    async for reply in handler.stream_stream(_parse_all(handler, messages), context):
                        yield reply
                except ServiceError as error:
                    await self._fail(method, context, error)

            return grpc.stream_stream_rpc_method_handler(stream, None, handler.response_serializer)

        async def ask(_: object, context: Any) -> Any:
            try:
                return await handler.unary_unary(_parse(handler, await self._arriving(context, OPEN_PATIENCE)), context)
            except ServiceError as error:
                await self._fail(method, context, error)

        async def watch(_: object, context: Any) -> None:
            try:
                request = _parse(handler, await self._arriving(context, OPEN_PATIENCE))
                await self.drain.until_done(handler.unary_stream(request, context))
            except ServiceError as error:
                await self._fail(method, context, error)

        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(watch, None, handler.response_serializer)
        return grpc.stream_unary_rpc_method_handler(ask, None, handler.response_serializer)

    async def _arriving(self, context: Any, patience: float) -> bytes:
        """The message of a call that has one; ServiceError if it does not come."""
        message = await self.drain.arriving(context.read(), patience)
        if message is grpc.aio.EOF:  # type: ignore[attr-defined]  # its stubs lack it
            raise ServiceError(grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE", "the call ended without a message")
        found: bytes = message
        return found

    def _check(self, method: str, metadata: Any) -> None:
        """Sets the caller of what follows in this task."""
        if (tokens := self._tokens.now()) and not method.startswith(_OPEN):
            header = dict(metadata or ()).get("authorization", "")
            set_caller(authorize(tokens, str(header), self._scopes.get(method.rpartition("/")[2], self._scope)))

    def _refusing(self, method: str, error: ServiceError) -> Any:
        """A handler that ends the call; one of streams is not given the caller's message."""

        async def refuse(_: Any, context: Any) -> None:
            await self._fail(method, context, error)

        return grpc.stream_stream_rpc_method_handler(refuse)

    async def _fail(self, method: str, context: Any, error: Exception) -> None:
        if isinstance(error, grpc.aio.AbortError):
            raise error
        if not isinstance(error, ServiceError):
            reference = uuid.uuid4().hex[:12]
            log.error("%s failed, reference %s", method, reference, exc_info=error)
            text = f"internal error, reference {reference}; the server's log tells more"
            error = ServiceError(grpc.StatusCode.INTERNAL, "INTERNAL", text, metadata={"reference": reference})
        CALLS.labels(method, error.code.name).inc()
        refused(method, error)
        if self._tracer:
            self._tracer.fail(error.reason, fault=error.code in FAULTS)
        await abort(context, in_own_words(error), self._domain)


def _metadata(context: Any) -> dict[str, Any]:
    return dict(context.invocation_metadata() or ())


def _parse(handler: Any, message: bytes) -> Any:
    try:
        return handler.request_deserializer(message)
    except DecodeError:
        text = f"the {len(message)} bytes are not the protobuf message that this method takes"
        raise ServiceError(grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_MESSAGE", text) from None


async def _parse_all(
    handler: Any, messages: AsyncIterator[bytes], still: Callable[[], None] = lambda: None
) -> AsyncIterator[Any]:
    async for message in messages:
        still()
        yield _parse(handler, message)
