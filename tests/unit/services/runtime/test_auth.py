"""Bearer tokens: the file, the check, and which addresses need none."""

from pathlib import Path

import grpc
import pytest

from services.runtime.auth import SCOPES, Token, authorize, is_loopback, read_tokens
from services.runtime.errors import ServiceError

READER = Token("r34d", "dashboard", frozenset({"read"}))
ROOT = Token("r00t", "root", frozenset({"admin"}))
TOKENS = (READER, ROOT)


def tokens_file(folder: Path, text: str) -> Path:
    path = folder / "tokens"
    path.write_text(text)
    return path


def test_a_line_is_a_token_a_name_and_scopes(tmp_path: Path) -> None:
    path = tokens_file(tmp_path, "# who may do what\n\nr34d dashboard read  # the page\nboth sim act,read\nall\n")
    assert read_tokens(path) == (
        READER,
        Token("both", "sim", frozenset({"act", "read"})),
        Token("all", "line 5", SCOPES),
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "\n  \n"])
def test_a_file_without_tokens_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="tokens: holds no token"):
        read_tokens(tokens_file(tmp_path, text))


@pytest.mark.parametrize("scopes", ["write", "act,write", "act,"])
def test_an_unknown_scope_is_refused_with_its_line(tmp_path: Path, scopes: str) -> None:
    with pytest.raises(ValueError, match=r"tokens:2: unknown scope '(write)?', expected act, admin, read"):
        read_tokens(tokens_file(tmp_path, f"good\nbad name {scopes}\n"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_tokens(tmp_path / "nowhere")


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
