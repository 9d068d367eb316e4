"""The server as a connection shows it: how many calls it takes at once, and what its stop waits for."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from shelm.v1 import agent_pb2, agent_pb2_grpc
from support import http2

from services.runtime.server import GrpcServer
from services.runtime.settings import ServerSettings

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
