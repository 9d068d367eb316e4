"""The guard around every call: what a method raises by mistake is told to the log, with a reference for the caller."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from shelm.v1 import agent_pb2, agent_pb2_grpc
from support.errors import Code, refusal_of_call

from services.runtime.guard import Guard
from services.runtime.tokens import LOOK_EVERY, TokensFile

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


class Echo(agent_pb2_grpc.AgentServiceServicer):
    """Answers every message of a stream, and counts them."""

    seen = 0

    async def ActStream(self, requests: Any, context: Any) -> AsyncIterator[agent_pb2.ActStreamResponse]:  # noqa: N802
        async for _ in requests:
            self.seen += 1
            yield agent_pb2.ActStreamResponse()


@pytest.mark.parametrize("after", ["other of act\n", "secret of act tenant=another\n"], ids=["gone", "another tenant's"])
async def test_a_stream_ends_with_its_token_before_its_next_message_counts(tmp_path: Path, after: str) -> None:
    file, echo = tmp_path / "tokens", Echo()
    file.write_text("secret of act\n")
    server = grpc.aio.server(interceptors=[Guard(domain="shelm", tokens=TokensFile(str(file)), scopes={})])
    agent_pb2_grpc.add_AgentServiceServicer_to_server(echo, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stream = agent_pb2_grpc.AgentServiceStub(channel).ActStream(
            metadata=[("authorization", "Bearer secret")], timeout=20
        )
        await stream.write(agent_pb2.ActStreamRequest())
        await stream.read()
        file.write_text(after)
        await asyncio.sleep(LOOK_EVERY)
        await stream.write(agent_pb2.ActStreamRequest())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.read()
    await server.stop(None)
    assert refusal_of_call(caught.value).kind == (Code.UNAUTHENTICATED, "UNAUTHENTICATED")
    assert echo.seen == 1
