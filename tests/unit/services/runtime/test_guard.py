"""The guard around every call: what a method raises by mistake is told to the log, with a reference for the caller; calls of
which too many are under way are refused, and those whose message does not come end.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from shelm.v1 import agent_pb2, agent_pb2_grpc
from support import http2
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


TOKENS = "a1 one read tenant=acme\na2 two read tenant=acme\nb own read\nadmin operator admin\n"
PATIENCE = 0.5  # seconds
HALF_SENT = 200


class Slow(agent_pb2_grpc.AgentServiceServicer):
    """Calls that last until they may end."""

    def __init__(self) -> None:
        self.running, self.end = 0, asyncio.Event()

    async def GetEpisode(self, request: Any, context: Any) -> agent_pb2.GetEpisodeResponse:  # noqa: N802
        self.running += 1
        await self.end.wait()
        return agent_pb2.GetEpisodeResponse()

    async def WatchMemory(self, request: Any, context: Any) -> AsyncIterator[agent_pb2.WatchMemoryResponse]:  # noqa: N802
        yield agent_pb2.WatchMemoryResponse()


@asynccontextmanager
async def serving(servicer: Any, *, tokens: str = "", **limits: Any) -> AsyncIterator[tuple[str, Any]]:
    """Where it serves behind a guard, and a stub."""
    guard = Guard(domain="shelm", tokens=TokensFile(tokens), scopes={}, scope="read", **limits)
    server = grpc.aio.server(interceptors=[guard])
    agent_pb2_grpc.add_AgentServiceServicer_to_server(servicer, server)
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)  # type: ignore[attr-defined]  # its stubs lack aio
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    async with grpc.aio.insecure_channel(target) as channel:
        yield target, agent_pb2_grpc.AgentServiceStub(channel)
    await server.stop(None)


def get(stub: Any, token: str) -> Any:
    return stub.GetEpisode(agent_pb2.GetEpisodeRequest(), timeout=30, metadata=(("authorization", f"Bearer {token}"),))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  much that has no event
        await asyncio.sleep(0.01)


async def test_a_tenant_has_a_number_of_calls_under_way_and_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(TOKENS)
    most: Mapping[str, int] = {"GetEpisode": 2}
    servicer = Slow()
    async with serving(servicer, tokens=str(tmp_path / "tokens"), most=most) as (_, stub):
        first = [asyncio.ensure_future(get(stub, token)) for token in ("a1", "a2")]  # of one tenant together
        await until(lambda: servicer.running == 2)
        for token in ("a1", "a2"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await get(stub, token)
            refusal = refusal_of_call(caught.value)
            assert refusal.kind == (Code.RESOURCE_EXHAUSTED, "QUEUE_FULL")
            assert refusal.pushback == str(int((refusal.retry_after or 0) * 1000)) != "0"
        others = [asyncio.ensure_future(get(stub, token)) for token in ("b", "admin", "admin")]
        await until(lambda: servicer.running == 5)
        servicer.end.set()
        await asyncio.gather(*first, *others)
        await get(stub, "a1")  # its places are free again


async def test_requests_that_are_half_sent_hold_no_place_and_end() -> None:
    servicer = Slow()
    servicer.end.set()
    async with serving(servicer, most={"GetEpisode": 1}, patience=PATIENCE) as (target, stub):
        await get(stub, "")
        before, address = len(asyncio.all_tasks()), target.rpartition(":")
        with socket.create_connection((address[0], int(address[2])), timeout=30) as connection:
            method = "/shelm.v1.AgentService/GetEpisode"
            await asyncio.to_thread(http2.half_sent, connection, method, HALF_SENT)
            await until(lambda: len(asyncio.all_tasks()) >= before + HALF_SENT)
            await get(stub, "")
            assert await asyncio.to_thread(http2.ended, connection, HALF_SENT) == HALF_SENT
            await until(lambda: len(asyncio.all_tasks()) <= before)


@pytest.mark.parametrize("method", ["GetEpisode", "WatchMemory"])
async def test_a_call_without_its_message_is_told_so(method: str) -> None:
    path = f"/shelm.v1.AgentService/{method}"

    async def nothing(silent: bool) -> AsyncIterator[bytes]:
        if silent:
            await asyncio.sleep(60)
        if not silent:
            return
        yield b""

    async with serving(Slow(), patience=PATIENCE) as (target, _), grpc.aio.insecure_channel(target) as channel:
        for silent, kind in (
            (True, (Code.DEADLINE_EXCEEDED, "DEADLINE")),
            (False, (Code.INVALID_ARGUMENT, "MALFORMED_MESSAGE")),
        ):
            call: Any = channel.stream_stream(path, None, None)(nothing(silent), timeout=30)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
            assert refusal_of_call(caught.value).kind == kind


async def test_health_is_asked_and_watched_behind_the_guard() -> None:
    async with serving(Slow()) as (target, _), grpc.aio.insecure_channel(target) as channel:
        stub, request = health_pb2_grpc.HealthStub(channel), health_pb2.HealthCheckRequest(service="no such")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(request)
        assert caught.value.code() is Code.NOT_FOUND  # in its own words: nothing has been set here
        watching = stub.Watch(request)
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        watching.cancel()


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
