"""What a client is made with is checked before anything is looked up, and the error says what to write."""

from typing import Any

import pytest
from shelm import AsyncClient, Client, errors


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("http://127.0.0.1:50051", "write '127.0.0.1:50051'"),
        ("https://shelm.example.org/", "write 'shelm.example.org' and tls=True"),
        ("grpc://localhost:50051", "gRPC has no URLs: write 'localhost:50051'"),
        ("::1:50051", r"an IPv6 address needs brackets, given '::1:50051'; write '\[::1\]:50051'"),
        ("fe80::1:2:50051", r"write '\[fe80::1:2\]:50051'"),
        ("localhost:port", "a port 1..65535"),
        ("localhost:0", "a port 1..65535"),
        ("localhost:70000", "a port 1..65535"),
        ("localhost:", "a port 1..65535"),
        ("localhost: 50051", "expected host:port"),
        ("", "expected host:port"),
        (50051, "expected host:port, given 50051"),
    ],
)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_target_that_cannot_be_meant_is_refused_with_what_to_write(kind: Any, target: Any, says: str) -> None:
    with pytest.raises(errors.InvalidArgument, match=says):
        kind(target)


@pytest.mark.parametrize(
    "target",
    [
        *("localhost:50051", "127.0.0.1:1", "[::1]:50051", "[fe80::1%eth0]:50051", "shelm.example.org", "dns:50051"),
        *("dns:///localhost:1", "dns:localhost:1", "unix:/run/x", "unix:x", "ipv4:127.0.0.1:1,127.0.0.2:2", "ipv6:[::1]:1"),
    ],
)
def test_every_kind_of_address_that_grpc_knows_is_taken(target: str) -> None:
    Client(target).close()


@pytest.mark.parametrize(
    "wrong",
    [
        *({"timeout": 0}, {"timeout": -1}, {"timeout": float("nan")}, {"timeout": float("inf")}, {"timeout": "10"}),
        *({"retry_for": -1}, {"retry_for": None}, {"encoding": "jpeg"}, {"agent": 3}, {"agent": None}),
    ],
)
def test_a_setting_that_no_call_could_use_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidArgument, match=f"^{next(iter(wrong))}: expected "):
        Client("localhost:1", **wrong)
    Client("localhost:1", retry_for=float("inf")).close()
