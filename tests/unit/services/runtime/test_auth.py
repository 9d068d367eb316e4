"""Bearer tokens: the check, the words of its errors, and which addresses need none."""

import asyncio
from collections.abc import Iterator

import grpc
import pytest

from services.runtime.auth import authorize, caller, in_own_words, is_loopback, set_caller
from services.runtime.errors import ServiceError
from services.runtime.tokens import SCOPES, Token

READER = Token("r34d", "dashboard", frozenset({"read"}))
ROOT = Token("r00t", "root", frozenset({"admin"}))
TOKENS = (READER, ROOT)


@pytest.fixture(autouse=True)
def _nobody_calls() -> Iterator[None]:
    before = caller()
    yield
    set_caller(before)


def test_a_token_with_the_scope_is_let_in() -> None:
    assert authorize(TOKENS, "Bearer r34d", "read") is READER


@pytest.mark.parametrize("scope", sorted(SCOPES))
def test_admin_may_do_everything(scope: str) -> None:
    assert authorize(TOKENS, "Bearer r00t", scope) is ROOT


@pytest.mark.parametrize(
    "header", ["", "Bearer ", "r34d", "Basic r34d", "Bearer r34", "Bearer r34dd", "Bearer  r34d", "Bearer é", "Bearer R34D"]
)
def test_no_or_a_wrong_token_is_unauthenticated(header: str) -> None:
    with pytest.raises(ServiceError) as refused:
        authorize(TOKENS, header, "read")
    assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    assert "r34d" not in refused.value.message


@pytest.mark.parametrize("scope", ["act", "admin"])
def test_a_token_without_the_scope_is_denied_by_name(scope: str) -> None:
    with pytest.raises(ServiceError, match=f"'dashboard' lacks the scope '{scope}'") as refused:
        authorize(TOKENS, "Bearer r34d", scope)
    assert refused.value.code is grpc.StatusCode.PERMISSION_DENIED
    assert refused.value.metadata == {"scope": scope}
    assert "r34d" not in refused.value.message


def test_an_error_names_episodes_as_its_caller_does() -> None:
    metadata = {"episode_id": "e-1@acme"}
    error = ServiceError(grpc.StatusCode.NOT_FOUND, "X", "episode 'e-1@acme' is gone", metadata=metadata, retry_after=2.0)
    assert in_own_words(error) is error
    set_caller(Token("s", "sim", frozenset({"act"}), tenant="acme"))
    told = in_own_words(error)
    assert (told.message, told.metadata, told.retry_after) == ("episode 'e-1' is gone", {"episode_id": "e-1"}, 2.0)
    assert (told.code, told.reason) == (error.code, error.reason)


def test_a_task_calls_as_the_one_that_made_it() -> None:
    token = Token("s", "sim", frozenset({"act"}), tenant="acme")

    async def inner() -> Token:
        return caller()

    async def outer() -> Token:
        set_caller(token)
        return await asyncio.create_task(inner())

    assert asyncio.run(outer()) is token
    assert caller().tenant == ""


@pytest.mark.parametrize(
    "listen", ["127.0.0.1:50051", "127.8.9.10:1", "localhost:50051", "[::1]:50051", "unix:/run/shelm.sock"]
)
def test_loopback_is_reached_from_this_machine_alone(listen: str) -> None:
    assert is_loopback(listen)


@pytest.mark.parametrize(
    "listen",
    ["0.0.0.0:50051", "[::]:50051", ":50051", "*:1", "10.0.0.1:1", "example.org:1", "127.0.0.1.example.org:1", "127.1:1"],
)
def test_everything_else_is_beyond_loopback(listen: str) -> None:
    assert not is_loopback(listen)
