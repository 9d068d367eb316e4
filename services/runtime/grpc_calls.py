"""`CallServer`: grpc.aio's server, which goes on whatever a request calls its method.

grpcio 1.85 decodes the name of a method that it does not know as UTF-8 in the loop that takes up calls: one request of
anybody, with another byte in its `:path`, ends that loop, and the server with it. Here methods are registered with gRPC's
core, which finds them by their bytes; a call of any other one is answered UNIMPLEMENTED without a look at its name (so no
name that a caller invents becomes a label of a metric either).

Contract: servicers are added as to grpc.aio's own server. Failure policy: as of grpc.aio's server.

This stands on parts of the pinned grpcio that are not public: tests/unit/services/runtime/test_grpc_calls.py says whether
they still are as they were.
"""

import asyncio
import importlib
from collections.abc import Iterable, Sequence
from typing import Any

import grpc

cygrpc: Any = importlib.import_module("grpc._cython.cygrpc")
_Server: Any = cygrpc.AioServer
_NO_METHODS = cygrpc._MethodResolver([], {})


class _Accepting(_Server):  # type: ignore[misc]
    """gRPC's core takes up calls of each method in a task of its own; the library's loop sees none but its end."""

    def __init__(self, loop: Any, interceptors: Sequence[Any], options: Any) -> None:
        super().__init__(loop, None, (), interceptors, options, None)
        self._event_loop, self._guards = loop, tuple(interceptors)
        self._handlers: dict[str, Any] = {}
        self._resolver = _NO_METHODS
        self._calls = set[asyncio.Task[None]]()  # the loop itself holds tasks weakly

    def add_registered_method_handlers(self, method_handlers: dict[str, Any]) -> None:
        """Before the start: full names of methods, and their handlers."""
        super().add_registered_method_handlers(method_handlers)
        self._handlers |= method_handlers
        self._resolver = cygrpc._MethodResolver([], dict(self._handlers))

    def _make_request_call_future(self, method_bytes: bytes | None) -> Any:
        """Asked for once for each method, and once (None) for all others."""
        return self._event_loop.create_task(self._accept(method_bytes))

    async def _accept(self, method: bytes | None) -> None:
        name, resolver = ("", _NO_METHODS) if method is None else (method.decode(), self._resolver)
        loop, guards = self._event_loop, self._guards
        while True:  # until the server stops, which ends the wait with an error
            state = await (self._request_call() if method is None else self._request_registered_call(method))
            handling = cygrpc._handle_rpc(name, resolver, guards, state, loop, False)
            task = loop.create_task(cygrpc._schedule_rpc_coro(handling, state, loop, name))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)


class CallServer(grpc.aio.Server):
    """See the module. interceptors, options: as of grpc.aio.server."""

    def __init__(self, *, interceptors: Sequence[Any] = (), options: Sequence[tuple[str, Any]] = ()) -> None:
        self._loop = cygrpc.get_working_loop()
        self._server = _Accepting(self._loop, interceptors, tuple(options))

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[Any]) -> None:
        """Registers the methods of handlers that generated code and grpc.method_handlers_generic_handler make."""
        for handler in generic_rpc_handlers:
            self._server.add_registered_method_handlers(handler._method_handlers)

    def add_registered_method_handlers(self, service_name: str, method_handlers: dict[str, Any]) -> None:
        """Registers methods by their names within a service."""
        named = {f"/{service_name}/{name}": handler for name, handler in method_handlers.items()}
        self._server.add_registered_method_handlers(named)

    def add_insecure_port(self, address: str) -> int:
        """As grpc.aio's; RuntimeError if the address cannot be had."""
        return _port(address, self._server.add_insecure_port(address.encode()))

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:
        """As grpc.aio's; RuntimeError if the address cannot be had."""
        return _port(address, self._server.add_secure_port(address.encode(), server_credentials))

    async def start(self) -> None:
        """Begins to take up calls; no method can be added afterwards."""
        await self._server.start()

    async def stop(self, grace: float | None = None) -> None:
        """Ends; calls under way have `grace` seconds."""
        await self._server.shutdown(grace)

    async def wait_for_termination(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - its name there
        """Waits until the server has stopped; True if the time was over before."""
        over: bool = await self._server.wait_for_termination(timeout)
        return over


def _port(address: str, port: int) -> int:
    if not port:
        raise RuntimeError(f"Failed to bind to address {address}")
    return port
