"""The server as a connection shows it: its options, with all times divided by ten, and what its stop waits for."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from shelm.v1 import agent_pb2, agent_pb2_grpc
from support import http2

from services.runtime.server import KEEPALIVE, GrpcServer
from services.runtime.settings import ServerSettings

FASTER = 10
Option = tuple[str, int]
# A client that pings every 10 s while nothing else happens, as the libraries of gRPC can be told to.
PINGING: list[Option] = [
    ("grpc.keepalive_time_ms", 10_000 // FASTER),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]


async def idle(options: Sequence[Option]) -> grpc.StatusCode:
    """What a silent stream of 4.5 s, 45 s in truth, ends with at a server of these options."""

    async def silent(request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> AsyncIterator[bytes]:
        await context.send_initial_metadata(())
        while not context.done():
            await asyncio.sleep(0.05)
            if context.done():
                yield b""

    handler = grpc.unary_stream_rpc_method_handler(silent)
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("x.Idle", {"Watch": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=PINGING) as channel:
        call = channel.unary_stream("/x.Idle/Watch", None, None)(b"", timeout=4.5)
        code = await call.code()
    await server.stop(0)
    return code


async def test_a_client_may_ping_an_idle_connection_every_ten_seconds() -> None:
    scaled = [(name, value // FASTER if name.endswith(("_time_ms", "_data_ms")) else value) for name, value in KEEPALIVE]
    ours, plain = await asyncio.gather(idle(scaled), idle([]))
    assert ours is grpc.StatusCode.DEADLINE_EXCEEDED  # it lived as long as it was asked to
    assert plain is grpc.StatusCode.UNAVAILABLE  # gRPC by itself sends such a client away


GRACE, STREAMS = 240.0, 16


class Quiet(agent_pb2_grpc.AgentServiceServicer):
    """A stream without an end, of which one message comes; calls that take a moment."""

    running, most = 0, 0

    async def WatchMemory(self, request: Any, context: Any) -> AsyncIterator[agent_pb2.WatchMemoryResponse]:  # noqa: N802
        yield agent_pb2.WatchMemoryResponse()
        await asyncio.Event().wait()

    async def GetEpisode(self, request: Any, context: Any) -> agent_pb2.GetEpisodeResponse:  # noqa: N802
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.01)
        self.running -= 1
        return agent_pb2.GetEpisodeResponse()


def server_of(servicer: Quiet) -> GrpcServer:
    async def ready() -> list[str]:
        return []

    return GrpcServer(
        ServerSettings.model_validate({"stop_grace": GRACE, "max_streams": STREAMS}),
        listen="127.0.0.1:0",
        domain="shelm",
        services={"shelm.v1.AgentService": lambda to: agent_pb2_grpc.add_AgentServiceServicer_to_server(servicer, to)},
        ready=ready,
    )


async def test_neither_watches_nor_half_sent_requests_keep_a_server_from_stopping() -> None:
    server = server_of(Quiet())
    port = await server.start()
    with socket.create_connection(("127.0.0.1", port)) as half:
        await asyncio.to_thread(http2.half_sent, half, "/shelm.v1.AgentService/GetEpisode", STREAMS)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub, watching = agent_pb2_grpc.AgentServiceStub(channel), health_pb2_grpc.HealthStub(channel)
            memory: Any = stub.WatchMemory(agent_pb2.WatchMemoryRequest())
            health: Any = watching.Watch(health_pb2.HealthCheckRequest())
            await memory.read()
            assert (await health.read()).status == health_pb2.HealthCheckResponse.SERVING
            await asyncio.wait_for(server.stop(), GRACE / 10)
            assert (await health.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert {await memory.code(), await health.code()} == {grpc.StatusCode.UNAVAILABLE}


async def test_a_connection_has_a_number_of_calls_at_once_and_none_beyond_is_refused() -> None:
    servicer = Quiet()
    server = server_of(servicer)
    port = await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = agent_pb2_grpc.AgentServiceStub(channel)
        await asyncio.gather(*(stub.GetEpisode(agent_pb2.GetEpisodeRequest()) for _ in range(20 * STREAMS)))
    await server.stop()
    assert 1 < servicer.most <= STREAMS
