"""Connections to other servers: a new certificate is used from the next call on, a failed handshake says why, and a silent
connection is replaced.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from faults_relay import relay_to
from shelm import channel as client_channel
from shelm.channel import Silence
from support.certificates import Authority, serial

from services.runtime import tls
from services.runtime.channels import handshake_problem, open_channel
from services.runtime.tls import CLIENT, SERVER, TlsFiles, server_credentials


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    monkeypatch.setattr(tls, "LOOK_EVERY", 0.0)
    return Authority(tmp_path)


@pytest.fixture
async def target(authority: Authority) -> AsyncIterator[str]:
    """A server that asks for a certificate, and answers with it."""

    async def answer(_: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        [certificate] = context.auth_context()["x509_pem_cert"]
        return certificate

    certificate, key = authority.issue()
    files = TlsFiles(SERVER, certificate=str(certificate), key=str(key), authority=str(authority.ca))
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handler = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("x.Y", {"Z": handler}),))
    port = server.add_secure_port("127.0.0.1:0", server_credentials(files))
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)


def client(authority: Authority, name: str = "client") -> TlsFiles:
    certificate, key = authority.issue(name)
    return TlsFiles(CLIENT, certificate=str(certificate), key=str(key), authority=str(authority.ca))


async def test_the_next_call_after_a_change_shows_the_new_certificate(authority: Authority, target: str) -> None:
    files = client(authority)
    channel = open_channel(target, [], files, silence=Silence)
    call = channel.unary_unary("/x.Y/Z")
    first = serial(await call(b"", timeout=10))
    assert serial(await call(b"", timeout=10)) == first == serial(files.now().certificate)
    authority.issue("client")
    assert serial(await call(b"", timeout=10)) == serial(files.now().certificate) != first
    await channel.close()


@pytest.mark.parametrize(("name", "right"), [("localhost", True), ("other.example", False)])
async def test_the_name_of_the_host_is_what_the_certificate_must_be_for(
    authority: Authority, target: str, name: str, right: bool
) -> None:
    channel = open_channel(target, [], client(authority), silence=Silence, name=name)
    call = channel.unary_unary("/x.Y/Z")(b"", timeout=10)
    if right:
        assert await call
    else:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call
        assert handshake_problem(failed.value) == "its certificate is for another host name"
    await channel.close()


async def test_a_certificate_of_another_authority_is_named(authority: Authority, target: str, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    channel = open_channel(target, [], TlsFiles(CLIENT, authority=str(other.ca)), silence=Silence)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await channel.unary_unary("/x.Y/Z")(b"", timeout=10)
    assert "SHELM_BACKEND_CA" in handshake_problem(failed.value)
    await channel.close()


async def test_without_files_the_connection_is_plain_and_its_failures_are_no_handshakes() -> None:
    channel = open_channel("127.0.0.1:1", [], None, silence=Silence)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await channel.unary_unary("/x.Y/Z")(b"", timeout=10)
    assert handshake_problem(failed.value) == ""
    await channel.close()


async def test_a_silent_channel_is_replaced_and_calls_under_way_end_on_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_channel, "SILENT_SECONDS", 0.5)
    asked, go = asyncio.Event(), asyncio.Event()

    async def slow(request: bytes, _: object) -> bytes:
        if request == b"slow":
            asked.set()
            await go.wait()
        return request

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handler = grpc.unary_unary_rpc_method_handler(slow)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("x.Y", {"Z": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    with relay_to(f"127.0.0.1:{port}") as relay:
        channel = open_channel(relay.target, [("grpc.use_local_subchannel_pool", 1)], None, silence=Silence)
        method = channel.unary_unary("/x.Y/Z")
        under_way = asyncio.ensure_future(method(b"slow", timeout=30))
        await asked.wait()
        relay.hold()
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await method(b"", timeout=0.3)
            channel.failed(failed.value, began)
        relay.release()
        assert await method(b"new", timeout=30) == b"new"
        assert relay.accepted == 2
        go.set()
        assert await under_way == b"slow"
        await channel.close()
    await server.stop(0)
