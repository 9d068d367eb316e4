"""`tls=` of the client: what it may be, and what a client is told that the server, or that does not accept the server."""

import asyncio
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from shelm import AsyncClient, Client, errors
from shelm.cli.parser import parser
from shelm.cli.tls import tls_of
from shelm.tls import credentials_of
from shelm.v1 import agent_pb2_grpc
from support.certificates import Authority, with_password
from support.stand_in import StandIn, frame, serving


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def served(authority: Authority, stand_in: StandIn, *, mutual: bool, hosts: tuple[str, ...]) -> Iterator[str]:
    """The address of a server with TLS."""
    certificate, key = authority.issue(hosts=hosts)
    pair, ca = (key.read_bytes(), certificate.read_bytes()), authority.ca.read_bytes()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    agent_pb2_grpc.add_AgentServiceServicer_to_server(stand_in, server)
    credentials = grpc.ssl_server_credentials([pair], ca if mutual else None, mutual)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0).wait()


@pytest.fixture
def target(authority: Authority, stand_in: StandIn) -> Iterator[str]:
    yield from served(authority, stand_in, mutual=False, hosts=("localhost", "127.0.0.1"))


@pytest.fixture
def strict(authority: Authority, stand_in: StandIn) -> Iterator[str]:
    """Asks for a certificate."""
    yield from served(authority, stand_in, mutual=True, hosts=("localhost", "127.0.0.1"))


def test_both_clients_act_over_tls(target: str, authority: Authority) -> None:
    with Client(target, tls=authority.ca) as client:
        assert client.act(frame(0), "a").step == 0

    async def main() -> int:
        async with AsyncClient(target, tls=str(authority.ca)) as client:
            return (await client.act(frame(0), "b")).step

    assert asyncio.run(main()) == 0


def test_a_server_that_asks_for_a_certificate_is_shown_one(strict: str, authority: Authority) -> None:
    certificate, key = authority.issue("client")
    with Client(strict, tls=(authority.ca, certificate, key)) as client:
        assert client.act(frame(0), "a").step == 0


def refusal(target: str, **given: Any) -> errors.Unavailable:
    """How a client that tries again for half a second fails."""
    with Client(target, retry_for=0.5, timeout=5, **given) as client, pytest.raises(errors.Unavailable) as failed:
        client.act(frame(0), "a")
    return failed.value


def test_no_certificate_where_one_is_asked_for_is_named(strict: str, authority: Authority) -> None:
    assert "tls=(ca, cert, key)" in str(refusal(strict, tls=authority.ca))


def test_another_authority_is_named_at_once(target: str, tmp_path: Path) -> None:
    error = refusal(target, tls=Authority(tmp_path / "other").ca)
    assert isinstance(error, errors.TlsError)
    assert (error.attempts, error.retryable) == (1, False)
    assert "no CA that the client trusts" in str(error)


def test_the_public_roots_are_meant_by_true(target: str) -> None:
    assert isinstance(refusal(target, tls=True), errors.TlsError)


def test_another_host_is_named(authority: Authority, stand_in: StandIn) -> None:
    for target in served(authority, stand_in, mutual=False, hosts=("shelm.example.org",)):
        error = refusal(target, tls=authority.ca)
        assert isinstance(error, errors.TlsError)
        assert "for another host" in str(error)


def test_an_expired_certificate_is_named(authority: Authority) -> None:
    certificate, key = authority.issue("old", days=-1)
    server = grpc.server(futures.ThreadPoolExecutor(1))
    pair = (key.read_bytes(), certificate.read_bytes())
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    server.start()
    assert "expired" in str(refusal(f"127.0.0.1:{port}", tls=authority.ca))
    server.stop(0).wait()


def test_tls_where_there_is_none_and_none_where_there_is_are_named(
    target: str, authority: Authority, stand_in: StandIn
) -> None:
    assert "tls=" in str(refusal(target))
    with serving(stand_in) as plain:
        assert "without TLS" in str(refusal(plain, tls=authority.ca))


@pytest.mark.parametrize("given", [1, "", ("ca", "cert"), ("ca", "cert", 1), (1, "cert", "key"), object()])
def test_what_cannot_be_meant_is_refused(given: Any) -> None:
    with pytest.raises(errors.InvalidArgument, match="tls: "):
        Client(tls=given)


def test_files_that_cannot_be_used_are_named(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue()
    _, other = authority.issue("other")
    for given, says in (
        (tmp_path / "no-such", "no-such: No such file"),
        (key, "server.key: holds no certificate"),
        ((authority.ca, certificate, other), r"other\.key: is not the key of .*server\.crt"),
        ((authority.ca, certificate, certificate), r"server\.crt: holds no private key"),
        ((authority.ca, certificate, tmp_path / "no-key"), "no-key: No such file"),
    ):
        with pytest.raises(errors.InvalidArgument, match=says):
            Client(tls=given)
    with_password(key)
    with pytest.raises(errors.InvalidArgument, match="without a password"):
        Client(tls=(authority.ca, certificate, key))


def test_the_public_roots_may_be_kept_beside_an_own_certificate(authority: Authority) -> None:
    for ca in (None, True):
        assert credentials_of((ca, *authority.issue()))
    assert credentials_of(False) is None


@pytest.mark.parametrize(
    ("options", "means"),
    [
        ([], False),
        (["--tls"], True),
        (["--tls-ca", "ca"], "ca"),
        (["--tls", "--tls-ca", "ca", "--tls-cert", "cert", "--tls-key", "key"], ("ca", "cert", "key")),
        (["--tls-cert", "cert", "--tls-key", "key"], (None, "cert", "key")),
    ],
)
def test_the_command_line_means_the_same(options: list[str], means: Any) -> None:
    assert tls_of(parser().parse_args(["ping", *options])) == means


def test_half_a_pair_on_the_command_line_is_refused() -> None:
    with pytest.raises(errors.InvalidArgument, match="belong together"):
        tls_of(parser().parse_args(["ping", "--tls-key", "key"]))
