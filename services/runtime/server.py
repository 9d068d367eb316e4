"""A gRPC server with health checks, reflection and the guard (authentication, errors, metrics, traces).

Contract: health (grpc.health.v1) is served for every service and for the empty name; it follows `ready`, which is
asked every half second and returns what is missing, so NOT_SERVING has a reason in the log; `live` is SERVING whatever is
missing, for whoever asks only whether the process answers. On SIGTERM or SIGINT
health turns NOT_SERVING, then new calls are refused with SERVER_STOPPING while running ones end, within `stop_grace`
seconds; only then are the connections closed, and the process ends with 0. Calls beyond what a service takes at once are
refused by that service in its own words: gRPC itself, which drops calls without a word, takes far more
(`connections.MOST_PENDING`).

With TLS (SHELM_TLS_CERT), certificates are read again when their files change, at the next handshake.

Failure policy: an address in use, or one beyond loopback without tokens or without TLS, stops the start with one line.
"""

import asyncio
import gc
import logging
import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.runtime import telemetry, traces
from services.runtime.checks import cannot_listen, check_private, tokens_in
from services.runtime.connections import server_options
from services.runtime.grpc_calls import CallServer
from services.runtime.guard import Guard
from services.runtime.settings import ServerSettings, describe
from services.runtime.tls import server_credentials
from services.runtime.tokens import TokensFile

log = logging.getLogger(__name__)
Ready = Callable[[], Awaitable[list[str]]]  # what is missing; empty: ready
Add = Callable[[grpc.aio.Server], None]
READY_EVERY = 0.5  # seconds
LIVE = "live"  # in the health service: SERVING whatever is missing, as long as this process answers
LAST_REPLIES = 1.0  # seconds that gRPC gets to send the last replies
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class GrpcServer:
    """One listening server with some gRPC services."""

    def __init__(
        self,
        settings: ServerSettings,
        *,
        listen: str,
        variable: str = "SHELM_LISTEN",
        domain: str,
        services: Mapping[str, Add],
        ready: Ready,
        scopes: Mapping[str, str] | None = None,
        scope: str = "act",
        most: Mapping[str, int] | None = None,
        tokens: TokensFile | None = None,
        largest: int | None = None,
    ) -> None:
        """listen: HOST:PORT, set by `variable`. services: full service name -> what registers its servicer.
        scopes, scope: what a token needs for a method, and for the methods that are not named.
        most: how many calls of a method an account may have under way.
        tokens: where somebody else looks at them too. largest: bytes of a request, if less than the setting.
        """
        tokens = tokens or tokens_in(settings.tokens_file)
        if not tokens.now() and not settings.allow_anonymous:
            check_private(variable, listen)
        settings.check_transport(variable, listen)
        self._tls = settings.server_tls()
        self._settings, self._listen, self._variable, self._ready = settings, listen, variable, ready
        self._names = ["", *services]
        self._health: Any = health.aio.HealthServicer()  # type: ignore[attr-defined]  # its stubs lack aio
        patience = settings.message_timeout
        guard = Guard(domain=domain, tokens=tokens, scopes=scopes or {}, scope=scope, most=most, patience=patience)
        self._drain = guard.drain
        self._server = CallServer(interceptors=[guard], options=server_options(settings, largest=largest))
        for add in services.values():
            add(self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (*services, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        self._service = next(iter(services))
        self._missing: list[str] | None = None
        self._monitor: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Listens; returns the port. CannotListen if the address is taken."""
        try:
            port = self._add_port()
        except RuntimeError:
            why = "the address is in use or not of this machine"
            raise cannot_listen(self._variable, self._listen, why) from None
        await self._check_ready()
        await self._health.set(LIVE, _SERVING)
        await self._server.start()
        self._monitor = asyncio.create_task(self._watch_ready())
        return port

    def _add_port(self) -> int:
        if self._tls:
            return self._server.add_secure_port(self._listen, server_credentials(self._tls))
        return self._server.add_insecure_port(self._listen)

    async def stop(self) -> None:
        """Says NOT_SERVING, refuses new calls while running ones end, for `stop_grace` seconds at most, then closes."""
        if self._monitor:
            self._monitor.cancel()
        await self._health.enter_graceful_shutdown()
        telemetry.READY.labels(self._service).set(0)
        self._drain.begin()
        await self._drain.finish(self._settings.stop_grace)
        await self._server.stop(min(LAST_REPLIES, self._settings.stop_grace))

    async def _watch_ready(self) -> None:
        while True:
            await asyncio.sleep(READY_EVERY)
            await self._check_ready()

    async def _check_ready(self) -> None:
        try:
            missing = await self._ready()
        except Exception as error:  # a readiness check that fails is an answer: not ready
            missing = [str(error)]
        if missing == self._missing:
            return
        log.log(logging.WARNING if missing else logging.INFO, "not ready: %s" if missing else "ready%s", "; ".join(missing))
        self._missing = missing
        telemetry.READY.labels(self._service).set(not missing)
        for name in self._names:
            await self._health.set(name, _NOT_SERVING if missing else _SERVING)


async def serve_until_stopped(server: GrpcServer, name: str, settings: ServerSettings, listen: str) -> None:
    """Starts, waits for SIGTERM or SIGINT, stops."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if settings.metrics_listen:
        telemetry.start_metrics(settings.metrics_listen)
    # What is loaded by now stays: the collector need not look through it again and again while calls wait.
    gc.collect()
    gc.freeze()
    port = await server.start()
    log.info("%s serves on %s (port %d): %s", name, listen, port, describe(settings))
    await stop.wait()
    log.info("%s stops", name)
    await server.stop()
    traces.stop_traces()
