"""The options of the gRPC server that only a connection shows, with all times divided by ten."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import grpc

from services.runtime.server import KEEPALIVE

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
