"""The file of bearer tokens: its lines, what is wrong with them, and what happens when it changes."""

import logging
from pathlib import Path

import pytest

from services.runtime import tokens
from services.runtime.tokens import DEFAULT_SCOPES, Token, TokensFile, read_tokens


def written(folder: Path, text: str) -> Path:
    path = folder / "tokens"
    path.write_text(text)
    return path


def test_a_line_is_a_token_a_name_scopes_and_options(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "# who may do what\n\nr34d dashboard read  # the page\nboth sim act,read tenant=acme acts=2.5 episodes=10\n"
        "r00t root admin\n",
    )
    assert read_tokens(path) == (
        Token("r34d", "dashboard", frozenset({"read"}), tenant="~dashboard"),
        Token("both", "sim", frozenset({"act", "read"}), tenant="acme", acts=2.5, episodes=10),
        Token("r00t", "root", frozenset({"admin"}), tenant=""),
    )


def test_a_token_alone_may_act_and_read_episodes_of_its_own(tmp_path: Path) -> None:
    first, second, shared = read_tokens(written(tmp_path, "one\ntwo\nthree tenant=-\n"))
    assert (first.name, first.scopes) == ("line 1", DEFAULT_SCOPES)
    assert len({first.tenant, second.tenant, shared.tenant}) == 3
    assert first.tenant == read_tokens(written(tmp_path, "# moved\none\n"))[0].tenant, "it keeps its episodes"
    assert "one" not in first.tenant
    assert shared.tenant == ""


def test_a_token_keeps_its_episodes_when_its_secret_is_replaced(tmp_path: Path) -> None:
    (before,), (after,) = (read_tokens(written(tmp_path, f"{secret} sim\n")) for secret in ("old", "new"))
    assert before.tenant == after.tenant


def test_no_named_tenant_is_the_own_one_of_a_token(tmp_path: Path) -> None:
    own, named = read_tokens(written(tmp_path, "a acme\nb other act tenant=acme\n"))
    assert own.tenant != named.tenant
    with pytest.raises(ValueError, match="tenant"):
        read_tokens(written(tmp_path, "c x act tenant=~acme\n"))


@pytest.mark.parametrize("text", ["", "# nothing\n", "\n  \n"])
def test_a_file_without_tokens_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match="tokens: holds no token"):
        read_tokens(written(tmp_path, text))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("bad name write", "unknown scope 'write', expected act, admin, inner, read"),
        ("bad name act,", "unknown scope ''"),
        ("bad name act more", "expected TOKEN"),
        ("bad name act tenants=a", "unknown option 'tenants'"),
        ("bad name act tenant=a@b", "tenant: expected"),
        ("bad name admin tenant=a", "tenant: a token with the scope admin"),
        ("bad name act acts=-1", "acts: expected"),
        ("bad name act acts=nan", "acts: expected"),
        ("bad name act episodes=1.5", "episodes: expected"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_without_the_token(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(ValueError, match=f"tokens:2: {problem}") as error:
        read_tokens(written(tmp_path, f"good\n{line}\n"))
    assert "bad" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_tokens(tmp_path / "nowhere")


def test_no_file_has_no_tokens() -> None:
    assert TokensFile("").now() == ()
    assert TokensFile("").secret("act") == ""


def test_a_changed_file_is_read_again_and_a_wrong_one_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tokens, "LOOK_EVERY", 0.0)
    path = written(tmp_path, "one a\n")
    file = TokensFile(str(path))
    assert [one.secret for one in file.now()] == ["one"]
    written(tmp_path, "one a\nsecond b\n")
    assert [one.secret for one in file.now()] == ["one", "second"]
    for change in (lambda: written(tmp_path, "one a fly\n"), path.unlink):
        change()
        with caplog.at_level(logging.ERROR):
            assert [one.secret for one in file.now()] == ["one", "second"]
        assert "the tokens before stay valid" in caplog.text
    written(tmp_path, "third c\n")
    assert [one.secret for one in file.now()] == ["third"]


def test_a_service_sends_the_token_of_its_scope_before_an_admins(tmp_path: Path) -> None:
    assert TokensFile(str(written(tmp_path, "a root admin\nb policy inner\n"))).secret("inner") == "b"
    assert TokensFile(str(written(tmp_path, "c sim act\na root admin\n"))).secret("inner") == "a"
    assert TokensFile(str(written(tmp_path, "c sim act\n"))).secret("inner") == ""
