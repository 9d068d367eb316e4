"""Addresses of a Redis: what is accepted, what the client library is given, and that no part of a password is told."""

from pathlib import Path

import pytest

from services.store.access import RedisAccess, check_redis_url


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6379/0",
        "rediss://user:word@redis:6379",
        "redis://:p%40s%2Fs%3F%23@redis",
        "redis://:p@ss@redis:6379/1",
        "redis://redis:6379/0?username=user&password=p@ss",
        "cluster+redis://:word@redis:6379",
        "unix:///run/redis@host.sock",
        "unix://user:word@/run/redis.sock?db=1",
    ],
)
def test_an_address_is_accepted(url: str) -> None:
    assert check_redis_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3c/ret@redis:6379",
        "redis://:s3c@s3cret/s3c@redis:6379/0",
        "redis://user:12/s3cret@redis:6379",
        "redis://:12?s3cret@redis:6379",
        "redis://:s3c#ret@redis",
        "cluster+redis://:s3c/ret@redis",
        "http://:s3cret@redis",
        "redis:/:s3cret@redis",
        "s3cret",
        "redis://:s3cret@redis:port",
    ],
)
def test_what_is_no_address_is_refused_and_nothing_of_it_is_told(url: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        check_redis_url(url)
    assert "s3c" not in str(caught.value)
    assert "%2F" in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "plain", "credentials"),
    [
        ("redis://redis:6379/1", "redis://redis:6379/1", ("word",)),
        ("cluster+rediss://us%40er@redis", "rediss://redis", ("us@er", "word")),
        ("redis://user:@redis/0?client_name=x", "redis://redis/0?client_name=x", ("user", "word")),
    ],
)
async def test_a_password_from_a_file_is_read_at_each_connection(
    url: str, plain: str, credentials: tuple[str, ...], tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("word\n")
    access = RedisAccess(url, str(file))
    assert access.plain_url == plain
    provider = access.options()["credential_provider"]
    assert provider.get_credentials() == await provider.get_credentials_async() == credentials
    file.write_text("new /word@#")
    assert provider.get_credentials()[-1] == "new /word@#"


def test_without_files_the_library_is_given_the_address_alone() -> None:
    access = RedisAccess("cluster+redis://user:word@redis:6379/0")
    assert (access.plain_url, access.options(), access.cluster) == ("redis://user:word@redis:6379/0", {}, True)
    assert "user" not in repr(access)


def test_certificates_are_given_by_their_files() -> None:
    options = RedisAccess("rediss://redis", ca="a", certificate="b", key="c").options()
    assert options == {"ssl_ca_certs": "a", "ssl_certfile": "b", "ssl_keyfile": "c"}


@pytest.mark.parametrize(
    ("url", "encrypted", "holds"),
    [
        ("redis://redis", False, False),
        ("rediss://user@redis", True, False),
        ("cluster+rediss://:word@redis", True, True),
        ("redis://redis?password=word", False, True),
    ],
)
def test_an_address_tells_whether_it_is_encrypted_and_holds_a_password(url: str, encrypted: bool, holds: bool) -> None:
    access = RedisAccess(url)
    assert (access.encrypted, access.holds_password) == (encrypted, holds)
