"""One way to reach Redis for every service, and one error when it is away.

Failure policy: any failure to reach Redis, and any state in which it cannot write (loading, read-only, out of memory), is
UNAVAILABLE with reason STORE_UNAVAILABLE; the next call connects again.
"""

import contextlib
from collections.abc import Iterator

import grpc
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from services.runtime.errors import ServiceError


def check_redis_url(value: str) -> str:
    """A validator for the address of a Redis."""
    redis.asyncio.connection.parse_url(value)  # ValueError
    return value


def connect_redis(url: str, *, timeout: float, max_connections: int = 256) -> "redis.asyncio.Redis":
    """A client; connections are made when they are needed. timeout: seconds for one answer."""
    return redis.asyncio.Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        max_connections=max_connections,
        # One quick retry hides a connection that Redis closed while it was idle. Every command of ours may be repeated.
        retry=Retry(ExponentialBackoff(cap=0.05, base=0.01), 1),
        retry_on_error=[RedisConnectionError, RedisTimeoutError],
    )


@contextlib.contextmanager
def store_errors() -> Iterator[None]:
    """Turns Redis's errors into ours."""
    try:
        yield
    except (RedisError, OSError) as error:
        text = f"the episode store is unavailable: {error or type(error).__name__}; retry the same step"
        raise ServiceError(grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", text, retry_after=0.5) from error
