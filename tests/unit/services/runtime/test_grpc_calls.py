"""The server goes on, whatever bytes a request has where the name of its method is."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import grpc
import pytest
from shelm.v1 import agent_pb2, agent_pb2_grpc
from support.errors import Code
from support.http2 import END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, _frame, _literal

from services.runtime.grpc_calls import CallServer

METHOD = b"/shelm.v1.AgentService/GetAgent"


class Servicer(agent_pb2_grpc.AgentServiceServicer):
    """One method of each kind."""

    async def GetAgent(self, request: Any, context: Any) -> agent_pb2.GetAgentResponse:  # noqa: N802
        return agent_pb2.GetAgentResponse(agent=agent_pb2.Agent(name=request.agent))

    async def ActStream(self, requests: Any, context: Any) -> AsyncIterator[agent_pb2.ActStreamResponse]:  # noqa: N802
        async for _ in requests:
            yield agent_pb2.ActStreamResponse()


@pytest.fixture
async def port() -> AsyncIterator[int]:
    server = CallServer()
    agent_pb2_grpc.add_AgentServiceServicer_to_server(Servicer(), server)
    number = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield number
    await server.stop(None)
    assert await server.wait_for_termination(10) is False


@pytest.fixture
async def channel(port: int) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened


def send(port: int, path: bytes) -> None:
    """One request whose `:path` is these bytes."""
    headers = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"x")]
    headers += [(b"te", b"trailers"), (b"content-type", b"application/grpc")]
    block = b"".join(_literal(name, value) for name, value in headers)
    with closing(socket.create_connection(("127.0.0.1", port), 10)) as connection:
        frames = _frame(SETTINGS, 0, 0) + _frame(HEADERS, END_HEADERS | END_STREAM, 1, block)
        connection.sendall(PREFACE + frames)
        assert connection.recv(1000)


def damaged() -> Iterator[bytes]:
    """Names of methods with a byte that is no UTF-8."""
    for at in (0, 1, 10, len(METHOD)):
        for byte in (b"\x80", b"\xff", b"\xc3"):
            yield METHOD[:at] + byte + METHOD[at:]


async def test_a_method_whose_name_is_no_text_ends_nothing(port: int, channel: grpc.aio.Channel) -> None:
    stub: Any = agent_pb2_grpc.AgentServiceStub(channel)
    for path in damaged():
        send(port, path)
        assert (await stub.GetAgent(agent_pb2.GetAgentRequest(agent="x"), timeout=10)).agent.name == "x"


@pytest.mark.parametrize("method", ["/shelm.v1.AgentService/None", "/", "", "/shelm.v1.AgentService/GetAgent/", "/\u00e9"])
async def test_an_unknown_method_is_unimplemented(channel: grpc.aio.Channel, method: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary(method or "x", None, None)(b"", timeout=10)
    assert caught.value.code() is Code.UNIMPLEMENTED


class Listening(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Keeps the names of the methods that are called."""

    def __init__(self) -> None:
        self.heard: set[str] = set()

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        self.heard.add(details.method)
        return await continuation(details)


async def test_names_that_callers_invent_are_told_to_nobody() -> None:
    """They would become labels of metrics, which are kept for ever."""
    listening = Listening()
    server = CallServer(interceptors=[listening])
    agent_pb2_grpc.add_AgentServiceServicer_to_server(Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for number in range(5):
            with pytest.raises(grpc.aio.AioRpcError):
                await channel.unary_unary(f"/shelm.v1.AgentService/Get{number}", None, None)(b"", timeout=10)
        await channel.unary_unary(METHOD.decode(), None, None)(b"", timeout=10)
    await server.stop(None)
    assert listening.heard == {"", METHOD.decode()}


async def test_many_calls_at_once_are_all_answered(channel: grpc.aio.Channel) -> None:
    stub: Any = agent_pb2_grpc.AgentServiceStub(channel)
    names = [f"agent-{number}" for number in range(500)]
    replies = await asyncio.gather(*(stub.GetAgent(agent_pb2.GetAgentRequest(agent=one), timeout=30) for one in names))
    assert [reply.agent.name for reply in replies] == names


async def test_a_stream_is_answered_item_by_item(channel: grpc.aio.Channel) -> None:
    async def requests() -> AsyncIterator[agent_pb2.ActStreamRequest]:
        for _ in range(3):
            yield agent_pb2.ActStreamRequest()

    stub: Any = agent_pb2_grpc.AgentServiceStub(channel)
    assert len([reply async for reply in stub.ActStream(requests(), timeout=10)]) == 3


async def test_an_address_in_use_is_said(port: int) -> None:
    with pytest.raises(RuntimeError, match="bind"):
        CallServer(options=[("grpc.so_reuseport", 0)]).add_insecure_port(f"127.0.0.1:{port}")
