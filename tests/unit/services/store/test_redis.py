"""Addresses of a Redis: what is accepted, and that no part of a password is told."""

import pytest

from services.store.redis import check_redis_url


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
