"""Settings of the connections to Redis: each file that cannot be used is named, and no password is told."""

import os
from pathlib import Path

import pytest
from support.certificates import Authority

from services.runtime.checks import CannotStart
from services.store.settings import RedisSettings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("SHELM_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def word(tmp_path: Path) -> str:
    (tmp_path / "word").write_text("s3cret\n")
    return str(tmp_path / "word")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"redis_password_file": "no-such"}, "SHELM_REDIS_PASSWORD_FILE: no-such: No such file"),
        ({"redis_password_file": os.devnull}, "SHELM_REDIS_PASSWORD_FILE: /dev/null: holds no password"),
        ({"redis_ca": "x"}, "SHELM_REDIS_CA: needs a SHELM_REDIS_URL that begins with rediss://"),
        ({"redis_url": "rediss://redis", "redis_ca": "no-such"}, "SHELM_REDIS_CA: no-such: No such file"),
        ({"redis_url": "rediss://redis", "redis_cert": "x"}, "SHELM_REDIS_CERT: is needed with SHELM_REDIS_KEY"),
        ({"redis_url": "rediss://redis", "redis_cert": "no", "redis_key": "no"}, "SHELM_REDIS_CERT: no: No such file"),
    ],
)
def test_what_cannot_be_used_is_named(given: dict[str, str], says: str) -> None:
    with pytest.raises(CannotStart, match=says):
        RedisSettings.model_validate(given).check()


@pytest.mark.parametrize("url", ["redis://user:s3cret@redis", "redis://redis?password=s3cret"])
def test_two_passwords_are_refused_and_neither_is_told(url: str, word: str) -> None:
    with pytest.raises(CannotStart, match="give it in one place") as refused:
        RedisSettings.model_validate({"redis_url": url, "redis_password_file": word}).check()
    assert "s3cret" not in str(refused.value)


def test_files_that_can_be_used_are_passed_on(word: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = map(str, authority.issue())
    settings = RedisSettings.model_validate(
        {
            "redis_url": "rediss://user@redis",
            "redis_password_file": word,
            "redis_ca": str(authority.ca),
            "redis_cert": certificate,
            "redis_key": key,
        }
    )
    settings.check()
    options = settings.redis_access.options()
    assert options.pop("credential_provider").get_credentials() == ("user", "s3cret")
    assert options == {"ssl_ca_certs": str(authority.ca), "ssl_certfile": certificate, "ssl_keyfile": key}
