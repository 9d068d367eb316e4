"""A Redis for the tests of the store, one for each module that asks for it."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from support.stored import redis_process

from services.store.redis import connect_redis


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis process of these tests alone."""
    with redis_process(tmp_path_factory.mktemp("redis")) as process:
        yield process.url


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Any]:
    """A connection to an empty Redis."""
    client = connect_redis(redis_url, timeout=5)
    await client.flushall()
    yield client
    await client.aclose()
