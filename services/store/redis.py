"""The Redis client of every service, and its errors as ServiceError.

Failure policy: any failure to reach Redis, and any state in which it cannot write (loading, read-only, out of memory), is
UNAVAILABLE with reason STORE_UNAVAILABLE; the next call connects again.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import redis.asyncio
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisClusterException, RedisError, SlotNotCoveredError
from redis.exceptions import TimeoutError as RedisTimeoutError
from shelm.v1 import errors_pb2

from services.protocol.reasons import failure
from services.runtime.errors import ServiceError

Run = tuple[Sequence[str], Sequence[Any]]  # keys and arguments of a script
CLUSTER = "cluster+"  # before redis:// or rediss://: the address is one node of a Redis Cluster


def check_redis_url(value: str) -> str:
    """A validator for the address of a Redis."""
    redis.asyncio.connection.parse_url(value.removeprefix(CLUSTER))  # ValueError
    return value


def connect_redis(url: str, *, timeout: float, max_connections: int = 256) -> Any:
    """A client of a Redis, or of a Redis Cluster (`cluster+redis://HOST:PORT`, any node); both have the same methods.

    Connections are made when they are needed. timeout: seconds for one answer.
    """
    common: dict[str, Any] = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
    common["max_connections"] = max_connections
    # One quick retry hides a connection that Redis closed while it was idle. Every command of ours may be repeated.
    retry = Retry(ExponentialBackoff(cap=0.05, base=0.01), 1)
    if url.startswith(CLUSTER):
        return RedisCluster.from_url(
            url.removeprefix(CLUSTER), retry=Retry(ExponentialBackoff(cap=0.2, base=0.01), 3), **common
        )
    return redis.asyncio.Redis.from_url(url, retry=retry, retry_on_error=[RedisConnectionError, RedisTimeoutError], **common)


async def scan_page(client: Any, cursor: int, *, match: str, count: int) -> tuple[int, list[bytes]]:
    """Returns the next cursor and some keys; cursor 0 begins, and a returned 0 ends.

    Scans the nodes of a cluster in turn.
    """
    if not isinstance(client, RedisCluster):
        after, keys = await client.scan(cursor, match=match, count=count)
        return int(after), keys
    await client.initialize()
    nodes = sorted(client.get_primaries(), key=lambda node: str(node.name))
    within, at = divmod(cursor, len(nodes))
    after, keys = await nodes[at].execute_command("SCAN", within, "MATCH", match, "COUNT", count)
    if int(after):
        return int(after) * len(nodes) + at, keys
    return (at + 1 if at + 1 < len(nodes) else 0), keys


async def memory_of_each(client: Any) -> list[tuple[int, int]]:
    """Bytes that are used and that may be used (0: no limit) of a Redis, or of each primary of a cluster."""
    if isinstance(client, RedisCluster):
        found = await client.info("memory", target_nodes=RedisCluster.PRIMARIES)
        nodes = list(found.values()) if all(isinstance(one, dict) for one in found.values()) else [found]
    else:
        nodes = [await client.info("memory")]
    return [(int(node["used_memory"]), int(node.get("maxmemory", 0))) for node in nodes]


async def run_scripts(client: Any, script: Any, runs: Sequence[Run]) -> list[Any]:
    """Runs one script (of `register_script`) for several keys and arguments; the answer, or the error, of each.

    Several runs share one trip, or one per node of a cluster. Each is atomic by itself; together they are not.
    """
    if len(runs) == 1:
        try:
            with store_errors():
                return [await script(*runs[0])]
        except ServiceError as error:
            return [error]
    try:
        with store_errors():
            answers = await _pipelined(client, script, runs)
            if any(isinstance(answer, NoScriptError) for answer in answers):  # a Redis that is new or was flushed
                await client.script_load(script.script)
                missing = [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
                for i, answer in zip(missing, await _pipelined(client, script, [runs[i] for i in missing]), strict=True):
                    answers[i] = answer
    except ServiceError as error:
        return [error] * len(runs)
    return [_store_error(answer) if isinstance(answer, Exception) else answer for answer in answers]


async def _pipelined(client: Any, script: Any, runs: Sequence[Run]) -> list[Any]:
    cluster = isinstance(client, RedisCluster)
    async with client.pipeline() if cluster else client.pipeline(transaction=False) as pipe:
        for keys, arguments in runs:
            pipe.evalsha(script.sha, len(keys), *keys, *arguments)
        answers: list[Any] = await pipe.execute(raise_on_error=False)
        return answers


def _store_error(error: Exception) -> Exception:
    try:
        with store_errors():
            raise error
    except Exception as one:
        return one


@contextlib.contextmanager
def store_errors() -> Iterator[None]:
    """Raises Redis's errors as STORE_UNAVAILABLE."""
    try:
        yield
    except (RedisError, RedisClusterException, SlotNotCoveredError, OSError) as error:
        text = f"the episode store is unavailable: {error or type(error).__name__}; retry the same step"
        raise failure(errors_pb2.ERROR_REASON_STORE_UNAVAILABLE, text, retry_after=0.5) from error
