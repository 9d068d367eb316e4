"""Whether a Redis can do what is asked of it, in words for the log.

Contract: a process that writes is ready only if every primary runs the commit's own script, so that a replica that only
reads, missing rights, a full memory and a Redis without streams are noticed before an Act fails; and only if Redis evicts
nothing, because an evicting Redis drops committed steps without a word. A process that only reads tries to read. No client
is told any of this.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from redis.asyncio.cluster import RedisCluster

from services.store.keys import history_key, probe_keys
from services.store.redis import memory_reports

log = logging.getLogger(__name__)
TRIED = 10_000  # names, to find one for each primary of a cluster
_WANTED = "noeviction"
_unknown: set[str] = set()  # places whose policy is not told, which has been logged


async def why_not_ready(client: Any, commit: Callable[[Sequence[str]], Awaitable[Any]], name: str) -> list[str]:
    """What keeps Redis from taking commits. commit: runs its script on keys, new ones of this name."""
    try:
        if isinstance(client, RedisCluster):
            await client.initialize()
        answers = await asyncio.gather(
            *(commit(probe_keys(number, name)) for number in _everywhere(client)),
            return_exceptions=True,
        )
    except Exception as error:
        answers = [error]
    problems = [_problem(answer) for answer in answers if answer != [b"OK", 0]]
    return problems or await _evictions(client)


async def why_not_readable(client: Any) -> list[str]:
    """What keeps a history from being read."""
    try:
        await client.xrange(history_key("probe"), "-", "+", 1)
    except Exception as error:
        return [_problem(error)]
    return []


async def _evictions(client: Any) -> list[str]:
    """The primaries that may evict."""
    reports = await memory_reports(client)
    problems = [_eviction(f" of {name}" if name else "", report) for name, report in reports.items()]
    return [problem for problem in problems if problem]


def _eviction(place: str, memory: Any) -> str:
    """What is wrong with the policy in this answer to INFO. One that does not tell is taken to be set up well."""
    policy = memory.get("maxmemory_policy")
    if policy is None and place not in _unknown:
        _unknown.add(place)
        log.warning("redis%s does not tell its maxmemory-policy, which must be %s", place, _WANTED)
    if policy in (None, _WANTED):
        return ""
    return f"redis: maxmemory-policy{place} is {policy}, so episodes lose steps without a word; set it to {_WANTED}"


def _everywhere(client: Any) -> list[int]:
    """Numbers of keys to write to: one, or in a cluster one for each primary that holds keys."""
    if not isinstance(client, RedisCluster):
        return [0]
    owners = {str(nodes[0].name) for nodes in client.nodes_manager.slots_cache.values()}
    found: dict[str, int] = {}
    for number in range(TRIED):
        if node := client.get_node_from_key(probe_keys(number, "")[0]):
            found.setdefault(str(node.name), number)
        if len(found) == len(owners):
            break
    return list(found.values())


def _problem(answer: Any) -> str:
    if isinstance(answer, BaseException):
        return f"redis: {type(answer).__name__}: {answer}"
    return f"redis: a commit on a key of its own was answered {answer!r}"
