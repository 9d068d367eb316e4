"""Connections as a server accepts them: which pings it takes, when it gives one up, and how old one gets. Real sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import grpc
from faults_relay import relay_to

from services.runtime.connections import Option, server_options
from services.runtime.settings import ServerSettings

FASTER = 10
# A client that pings every 10 s while nothing else happens, as the libraries of gRPC can be told to.
PINGING: list[Option] = [
    ("grpc.keepalive_time_ms", 10_000 // FASTER),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
]
LONG = 20.0  # seconds, more than anything here should take


class Served:
    """A server with a call that answers who asked, and a silent stream of which it counts those that run."""

    def __init__(self) -> None:
        self.running, self.left = 0, asyncio.Event()

    async def who(self, _: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        return context.peer().encode()

    async def silent(self, _: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> AsyncIterator[bytes]:
        await context.send_initial_metadata(())
        self.running += 1
        try:
            await asyncio.Event().wait()
            yield b""
        finally:
            self.running -= 1
            self.left.set()


@contextlib.asynccontextmanager
async def serving(options: Sequence[Option]) -> AsyncIterator[tuple[Served, str]]:
    served = Served()
    server = grpc.aio.server(options=options)
    methods = {
        "Who": grpc.unary_unary_rpc_method_handler(served.who),
        "Watch": grpc.unary_stream_rpc_method_handler(served.silent),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("x.Y", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield served, f"127.0.0.1:{port}"
    await server.stop(0)


async def idle(options: Sequence[Option]) -> grpc.StatusCode:
    """What a silent stream of 4.5 s, 45 s in truth, ends with at a server of these options."""
    async with serving(options) as (_, target), grpc.aio.insecure_channel(target, options=PINGING) as channel:
        return await channel.unary_stream("/x.Y/Watch", None, None)(b"", timeout=4.5).code()


async def test_a_client_may_ping_an_idle_connection_every_ten_seconds() -> None:
    options = server_options(ServerSettings.model_validate({}))
    scaled = [(name, value // FASTER if name.endswith("_data_ms") else value) for name, value in options]
    ours, plain = await asyncio.gather(idle(scaled), idle([]))
    assert ours is grpc.StatusCode.DEADLINE_EXCEEDED  # it lived as long as it was asked to
    assert plain is grpc.StatusCode.UNAVAILABLE  # gRPC by itself sends such a client away


async def test_what_a_vanished_client_holds_is_given_back() -> None:
    options = server_options(ServerSettings.model_validate({"keepalive": 1.0}))
    async with serving(options) as (served, target):
        with relay_to(target) as relay:
            async with grpc.aio.insecure_channel(relay.target) as channel:
                watch = channel.unary_stream("/x.Y/Watch", None, None)(b"")
                await watch.initial_metadata()
                await asyncio.sleep(3)
                assert served.running == 1  # it answers pings, so it stays
                relay.forget()
                await asyncio.wait_for(served.left.wait(), LONG)
                watch.cancel()


async def test_calls_after_a_connections_age_take_another_one_and_streams_get_the_grace() -> None:
    settings = ServerSettings.model_validate({"connection_age": 0.5, "connection_grace": 2.0})
    async with serving(server_options(settings)) as (served, target), grpc.aio.insecure_channel(target) as channel:
        who = channel.unary_unary("/x.Y/Who", None, None)
        first = await who(b"")
        watch = channel.unary_stream("/x.Y/Watch", None, None)(b"")
        await watch.initial_metadata()
        async with asyncio.timeout(LONG):
            while await who(b"") == first:  # none of these may fail
                pass
        assert served.running == 1
        assert await asyncio.wait_for(watch.code(), LONG) is grpc.StatusCode.UNAVAILABLE
        await asyncio.wait_for(served.left.wait(), LONG)


def test_a_connection_lasts_for_ever_where_its_age_is_zero() -> None:
    names = {name for name, _ in server_options(ServerSettings.model_validate({"connection_age": 0.0}))}
    assert not any("connection_age" in name for name in names)
