"""The Redis client of every service: one Redis or a Redis Cluster behind the same methods.

Failure policy: a call raises what the client library raises; services.store.errors makes a ServiceError of it. After a
failure the next call connects again.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

import redis.asyncio
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError
from redis.exceptions import TimeoutError as RedisTimeoutError

from services.store.access import RedisAccess

log = logging.getLogger(__name__)
Run = tuple[Sequence[str], Sequence[Any]]  # keys and arguments of a script
WAIT = 0.6  # seconds that `why_away` gives a Redis that starts at the same time


def connect_redis(access: RedisAccess | str, *, timeout: float, max_connections: int = 256) -> Any:
    """A client of a Redis, or of a Redis Cluster (`cluster+redis://HOST:PORT`, any node); both have the same methods.

    Connections are made when they are needed. access: an address alone will do. timeout: seconds for one answer.
    """
    access = RedisAccess(access) if isinstance(access, str) else access
    common: dict[str, Any] = access.options() | {"socket_timeout": timeout, "socket_connect_timeout": timeout}
    common["max_connections"] = max_connections
    # RESP2, which needs no HELLO: Redis before 6 and some proxies have none. We use nothing of RESP3.
    common["protocol"] = 2
    # One quick retry hides a connection that Redis closed while it was idle. Every command of ours may be repeated.
    retry = Retry(ExponentialBackoff(cap=0.05, base=0.01), 1)
    url = access.plain_url
    if access.cluster:
        return RedisCluster.from_url(url, retry=Retry(ExponentialBackoff(cap=0.2, base=0.01), 3), **common)
    return redis.asyncio.Redis.from_url(url, retry=retry, retry_on_error=[RedisConnectionError, RedisTimeoutError], **common)


def why_away(access: RedisAccess | str) -> list[str]:
    """Why a Redis does not answer now, in one line; empty if it answers. Blocking, before a process has an event loop."""
    return asyncio.run(_why_away(access, time.monotonic() + WAIT))


async def _why_away(access: RedisAccess | str, end: float) -> list[str]:
    client = connect_redis(access, timeout=WAIT / 2)
    try:
        while True:
            try:
                async with asyncio.timeout(WAIT):
                    await client.ping()
                return []
            except Exception as error:  # whatever the client library raises
                if time.monotonic() >= end:
                    return [f"redis does not answer: {type(error).__name__}: {error}".partition("\n")[0].rstrip(": ")]
            await asyncio.sleep(WAIT / 10)
    finally:
        await client.aclose()


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


async def memory_reports(client: Any) -> dict[str, Any]:
    """What INFO tells of the memory of a Redis, named "", or of each known primary of a cluster; {} where it is not told."""
    if not isinstance(client, RedisCluster):
        return {"": await _memory(client)}
    return {str(node.name): await _memory(client, target_nodes=node) for node in client.get_primaries()}


async def _memory(client: Any, **where: Any) -> Any:
    try:
        return await client.info("memory", **where)
    except Exception as error:  # away, not allowed, or not known to a proxy
        log.debug("INFO memory: %s", error)
        return {}


async def run_scripts(client: Any, script: Any, runs: Sequence[Run]) -> list[Any]:
    """Runs one script (of `register_script`) for several keys and arguments; the answer of each, or what it raised.

    Several runs share one trip, or one per node of a cluster. Each is atomic by itself; together they are not.
    """
    try:
        if len(runs) == 1:
            return [await script(*runs[0])]
        answers = await _pipelined(client, script, runs)
        if missing := [i for i, answer in enumerate(answers) if isinstance(answer, NoScriptError)]:
            await client.script_load(script.script)  # a Redis that is new or was flushed
            for i, answer in zip(missing, await _pipelined(client, script, [runs[i] for i in missing]), strict=True):
                answers[i] = answer
    except Exception as error:
        return [error] * len(runs)
    return answers


async def _pipelined(client: Any, script: Any, runs: Sequence[Run]) -> list[Any]:
    cluster = isinstance(client, RedisCluster)
    async with client.pipeline() if cluster else client.pipeline(transaction=False) as pipe:
        for keys, arguments in runs:
            # Not `evalsha`, which the library refuses in a pipeline of a cluster, even though each run has keys of one slot.
            pipe.execute_command("EVALSHA", script.sha, len(keys), *keys, *arguments)
        answers: list[Any] = await pipe.execute(raise_on_error=False)
        return answers
