"""`Scripts`: runs the store's Lua scripts, and answers them only when enough replicas of Redis have what they wrote.

Contract: with `replicas` of 0 an answer means that the primary has the change; its replicas get it later, so a failover can
lose it. With n, n replicas have it too, and where there are no more, so has the one that takes over. That holds for repeats:
a script that finds everything done writes a little all the same, so that there is something to wait for. The change and the
wait share one connection, so a primary that has been replaced meanwhile confirms nothing.

Failure policy: `NotReplicated` if the replicas do not answer in time. The change is there, and may stay or be lost; running
the script again tells, as after any call without an answer.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import MovedError, NoScriptError, RedisError, ResponseError

from services.store.redis import Run, run_scripts

# A script that changes nothing gives WAIT nothing to wait for. To set an expiry again changes nothing that anybody notices,
# and is allowed even when the memory is full.
_WRITING = """local function answer()
{script}
end
local given = answer()
local left = redis.call('PTTL', KEYS[1])
if left > 0 then redis.call('PEXPIRE', KEYS[1], left) end
return given
"""


class NotReplicated(RedisError):  # noqa: N818
    """The primary has the change, and too few replicas do."""


class Scripts:
    """Runs scripts in one Redis or Redis Cluster. replicas: that must have a change. seconds: that they have for it."""

    def __init__(self, client: Any, *, replicas: int = 0, seconds: float = 1.0) -> None:
        self._client, self._replicas, self._wait_ms = client, replicas, max(1, int(seconds * 1000))

    def register(self, script: str, *, flags: str = "") -> Any:
        """A script for `run`. flags: of the first line, for Redis 7 or later."""
        return self._client.register_script(flags + (_WRITING.format(script=script) if self._replicas else script))

    async def one(self, script: Any, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Runs a script once; returns its answer, or raises."""
        (answer,) = await self.run(script, [(keys, arguments)])
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def run(self, script: Any, runs: Sequence[Run]) -> list[Any]:
        """Runs a script for several keys and arguments; the answer of each, or what it raised."""
        if not self._replicas:
            return await run_scripts(self._client, script, runs)
        try:
            answers = await self._confirmed(script, runs)
            if any(isinstance(answer, NoScriptError) for answer in answers):
                await self._client.script_load(script.script)  # all again: what was done is found done
                answers = await self._confirmed(script, runs)
        except Exception as error:
            return [error] * len(runs)
        return answers

    async def _confirmed(self, script: Any, runs: Sequence[Run]) -> list[Any]:
        """The runs of each node in one trip on one connection, with the wait at its end."""
        if isinstance(self._client, RedisCluster):
            await self._client.initialize()
        groups: dict[Any, list[int]] = {}
        for i, (keys, _) in enumerate(runs):
            groups.setdefault(self._node(keys[0]), []).append(i)
        trips = (self._trip(node, script, [runs[i] for i in some]) for node, some in groups.items())
        answers: list[Any] = [None] * len(runs)
        for some, found in zip(groups.values(), await asyncio.gather(*trips), strict=True):
            for i, answer in zip(some, found, strict=True):
                answers[i] = answer
        return answers

    def _node(self, key: str) -> Any:
        """The primary of a key; None where there is but one."""
        return self._client.get_node_from_key(key) if isinstance(self._client, RedisCluster) else None

    async def _trip(self, node: Any, script: Any, runs: Sequence[Run]) -> list[Any]:
        where = {"target_nodes": node} if node else {}
        async with self._client.pipeline() if node else self._client.pipeline(transaction=False) as pipe:
            for keys, arguments in runs:
                pipe.execute_command("EVALSHA", script.sha, len(keys), *keys, *arguments, **where)
            pipe.execute_command("WAIT", self._replicas, self._wait_ms, **where)
            # A redirected command would go to another connection, where the wait is not.
            answers: list[Any]
            *answers, reached = await pipe.execute(raise_on_error=False, **({"allow_redirections": False} if node else {}))
        if node and (wrong := next((one for one in (*answers, reached) if isinstance(one, Exception)), None)):
            await self._learn_of(wrong)
        if isinstance(reached, int) and reached >= self._replicas:
            return answers
        few = NotReplicated(f"{reached} of {self._replicas} replicas have it")
        late = reached if isinstance(reached, Exception) else few
        return [answer if isinstance(answer, Exception) else late for answer in answers]

    async def _learn_of(self, error: Exception) -> None:
        """Looks at the cluster again: it may have another primary by now."""
        if isinstance(error, MovedError):
            await self._client.nodes_manager.move_slot(error)
        elif not isinstance(error, NoScriptError):
            await self._client.nodes_manager.initialize()


class FreeingScript:
    """A script that frees memory now or soon: it is to run even where none is left, which Redis can do from version 7 on."""

    def __init__(self, scripts: Scripts, script: str) -> None:
        self._scripts, self._plain = scripts, scripts.register(script)
        self._flagged: Any = scripts.register(script, flags="#!lua flags=allow-oom\n")

    async def __call__(self, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Runs it; returns its answer, or raises what Redis says."""
        if self._flagged:
            try:
                return await self._scripts.one(self._flagged, keys, arguments)
            except ResponseError as error:
                if "compiling script" not in str(error):
                    raise
                self._flagged = None  # an older Redis, which takes the flags for Lua
        return await self._scripts.one(self._plain, keys, arguments)
