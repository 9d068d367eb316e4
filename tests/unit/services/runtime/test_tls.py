"""TLS from files: read again when they change, and each file that cannot be used is named by its variable."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from support.certificates import Authority, serial, with_password

from services.runtime import tls
from services.runtime.checks import CannotStart
from services.runtime.tls import SERVER, TlsFiles, server_context, server_credentials


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change is noticed when it is asked for."""
    monkeypatch.setattr(tls, "LOOK_EVERY", 0.0)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def files_of(authority: Authority, *, mutual: bool = False) -> TlsFiles:
    certificate, key = authority.issue()
    return TlsFiles(SERVER, certificate=str(certificate), key=str(key), authority=str(authority.ca) if mutual else "")


def test_files_that_do_not_change_are_one_object_and_new_ones_another(authority: Authority) -> None:
    files = files_of(authority, mutual=True)
    first = files.now()
    assert files.now() is first
    certificate, key = authority.issue()
    assert files.now() == (certificate.read_bytes(), key.read_bytes(), authority.ca.read_bytes())


def test_half_a_replacement_keeps_what_was_before(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    files = files_of(authority)
    first, key = files.now(), Path(files.key)
    old_key = key.read_bytes()
    authority.issue()
    new_key = key.read_bytes()
    key.write_bytes(old_key)
    assert files.now() is first
    assert "the certificate before stays in use: SHELM_TLS_KEY" in caplog.text
    assert files.now() is first
    assert len(caplog.records) == 1  # once for each change
    key.write_bytes(new_key)
    assert files.now().key == new_key


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("server.crt", None, "SHELM_TLS_CERT: .*server.crt: No such file"),
        ("server.crt", b"", "SHELM_TLS_CERT: .*server.crt: the file is empty"),
        ("server.crt", b"\xff rubbish", "SHELM_TLS_CERT: .*server.crt: holds no certificate"),
        ("server.key", None, "SHELM_TLS_KEY: .*server.key: No such file"),
        ("server.key", b"rubbish", "SHELM_TLS_KEY: .*server.key: holds no private key"),
        ("ca.crt", b"rubbish", "SHELM_TLS_CLIENT_CA: .*ca.crt: holds no certificate"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    authority: Authority, tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    files = files_of(authority, mutual=True)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CannotStart, match=says) as refused:
        TlsFiles(SERVER, certificate=files.certificate, key=files.key, authority=files.authority)
    assert "\n" not in str(refused.value)


def test_a_key_of_another_certificate_or_with_a_password_is_named(authority: Authority) -> None:
    files = files_of(authority)
    _, other = authority.issue("other")
    with pytest.raises(CannotStart, match=r"SHELM_TLS_KEY: .* is not the key of the certificate in SHELM_TLS_CERT"):
        TlsFiles(SERVER, certificate=files.certificate, key=str(other))
    with_password(Path(files.key))
    with pytest.raises(CannotStart, match="without a password"):
        TlsFiles(SERVER, certificate=files.certificate, key=files.key)


@pytest.fixture
async def port(authority: Authority) -> AsyncIterator[int]:
    """Of a gRPC server that answers with nothing."""

    async def answer(_: bytes, __: object) -> bytes:
        return b""

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handler = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("x.Y", {"Z": handler}),))
    port = server.add_secure_port("127.0.0.1:0", server_credentials(files_of(authority)))
    await server.start()
    yield port
    await server.stop(0)


async def shown(port: int, authority: Authority) -> int:
    """The number of the certificate that a new connection is shown."""
    context = ssl.create_default_context(cafile=authority.ca)
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return serial(ssl.DER_cert_to_PEM_cert(found).encode())


async def test_a_grpc_server_shows_new_connections_the_new_certificate_and_old_ones_go_on(
    port: int, authority: Authority
) -> None:
    credentials = grpc.ssl_channel_credentials(authority.ca.read_bytes())
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        call = channel.unary_unary("/x.Y/Z", None, None)
        assert await call(b"", timeout=10) == b""
        before = await shown(port, authority)
        certificate, _ = authority.issue()
        assert await shown(port, authority) == serial(certificate.read_bytes()) != before
        assert await call(b"", timeout=10) == b""


async def test_another_server_does_the_same(authority: Authority) -> None:
    context = server_context(files_of(authority))
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        before = await shown(port, authority)
        certificate, _ = authority.issue()
        assert await shown(port, authority) == serial(certificate.read_bytes()) != before
