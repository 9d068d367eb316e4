"""The guard around every call: what a method raises by mistake is told to the log, with a reference for the caller."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2_grpc
from shelm.v1 import agent_pb2, agent_pb2_grpc
from support.errors import Code, refusal_of_call

from services.runtime.guard import Guard
from services.runtime.tokens import TokensFile

SECRET = "what only the log may hold"


class Broken(agent_pb2_grpc.AgentServiceServicer):
    """Methods with a mistake in them."""

    async def GetEpisode(self, request: Any, context: Any) -> agent_pb2.GetEpisodeResponse:  # noqa: N802
        raise KeyError(SECRET)

    async def WatchMemory(self, request: Any, context: Any) -> AsyncIterator[agent_pb2.WatchMemoryResponse]:  # noqa: N802
        yield agent_pb2.WatchMemoryResponse()
        raise KeyError(SECRET)


@pytest.fixture
async def stub() -> AsyncIterator[Any]:
    server = grpc.aio.server(interceptors=[Guard(domain="shelm", tokens=TokensFile(""), scopes={})])
    agent_pb2_grpc.add_AgentServiceServicer_to_server(Broken(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield agent_pb2_grpc.AgentServiceStub(channel)
    await server.stop(None)


async def call(stub: Any, method: str) -> None:
    if method == "GetEpisode":
        await stub.GetEpisode(agent_pb2.GetEpisodeRequest(), timeout=10)
    else:
        async for _ in stub.WatchMemory(agent_pb2.WatchMemoryRequest(), timeout=10):
            pass


@pytest.mark.parametrize("method", ["GetEpisode", "WatchMemory"])
async def test_an_internal_failure_gives_a_reference_and_no_traceback(
    stub: Any, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(stub, method)
    found = refusal_of_call(caught.value)
    assert found.kind == (Code.INTERNAL, "INTERNAL")
    reference = found.metadata["reference"]
    assert reference in found.message
    assert SECRET not in found.message
    (entry,) = [one for one in caplog.records if one.exc_info]
    assert reference in entry.getMessage()
    assert SECRET in caplog.text


@pytest.mark.parametrize("method", ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"])
async def test_bytes_that_are_no_message_are_malformed_for_health_too(method: str) -> None:
    server = grpc.aio.server(interceptors=[Guard(domain="shelm", tokens=TokensFile(""), scopes={})])
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)  # type: ignore[attr-defined]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in channel.unary_stream(method, None, None)(b"\xff", timeout=10):
                pass
    await server.stop(None)
    assert refusal_of_call(caught.value).kind == (Code.INVALID_ARGUMENT, "MALFORMED_MESSAGE")
