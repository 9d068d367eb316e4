"""Whatever a Redis call raises is STORE_UNAVAILABLE; what is stored wrongly is the episode's own error."""

import asyncio
import logging

import pytest
import redis.exceptions
from redis.exceptions import RedisClusterException, RedisError, ResponseError

from services.runtime.errors import ServiceError
from services.runtime.logs import Sparse
from services.store import errors
from services.store.errors import store_errors

SECRET = "the word that Redis said"
RAISED: list[Exception] = [
    *(kind(SECRET) for kind in (RedisError, ResponseError, redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)),
    *(kind(SECRET) for kind in (RedisClusterException, OSError, TimeoutError)),
    # What redis-py's cluster client lets through while connections break.
    AttributeError(f"'NoneType' object has no attribute 'write' {SECRET}"),
    TypeError(SECRET),
    *(kind(SECRET) for kind in (ValueError, KeyError, RuntimeError, AssertionError)),
]


@pytest.fixture(autouse=True)
def fresh_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nothing had been logged yet."""
    monkeypatch.setattr(errors, "_log", Sparse(logging.getLogger("services.store.errors")))


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_whatever_a_call_raises_may_be_retried_and_is_told_to_the_log_alone(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ServiceError) as caught, store_errors("episode"):
        raise error
    assert (caught.value.code.name, caught.value.reason) == ("UNAVAILABLE", "STORE_UNAVAILABLE")
    assert caught.value.retry_after
    assert SECRET not in caught.value.message
    (entry,) = caplog.records
    assert SECRET in caplog.text
    assert entry.exc_info is not None
    assert entry.exc_info[1] is error


@pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
def test_a_cancellation_goes_on_unchanged(kind: type[BaseException], caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(kind), store_errors():
        raise kind
    assert not caplog.records


def test_what_fails_again_and_again_at_one_place_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(100):
        with pytest.raises(ServiceError), store_errors():
            raise AttributeError("again")
    assert len(caplog.records) == 1
    with pytest.raises(ServiceError), store_errors():
        raise AttributeError("at another place")
    assert len(caplog.records) == 2


def test_a_key_of_another_type_is_damage_of_its_episode_and_a_failure_where_no_episode_is_known() -> None:
    wrong = ResponseError("Command # 1 (HMGET ...) of pipeline caused error: WRONGTYPE Operation against a key")
    with pytest.raises(ServiceError) as caught, store_errors("episode"):
        raise wrong
    assert (caught.value.code.name, caught.value.reason) == ("DATA_LOSS", "EPISODE_DAMAGED")
    assert caught.value.metadata == {"episode_id": "episode"}
    with pytest.raises(ServiceError) as caught, store_errors():
        raise wrong
    assert caught.value.reason == "STORE_UNAVAILABLE"
