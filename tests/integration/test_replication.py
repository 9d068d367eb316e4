"""Commits that wait for a replica of Redis: what it does not have is not told to anybody."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import grpc
import pytest
import redis
from support.deployment import RedisProcess
from support.stored import TTL, commit, record, redis_process, state_of, with_steps
from support.waiting import wait_for

from agent.history import extend_history
from services.runtime.errors import ServiceError
from services.store.episodes import AlreadyCommitted, Committed, EpisodeStore, Refused
from services.store.keys import episode_key
from services.store.redis import connect_redis

WAIT = 0.2  # seconds, for a replica that says nothing
PATIENCE = 10.0  # seconds, for one that answers, on a busy machine


class Pair(NamedTuple):
    primary: RedisProcess
    replica: RedisProcess

    @contextmanager
    def silent_replica(self) -> Iterator[None]:
        """The replica stays connected, and receives nothing."""
        os.kill(self.replica.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.replica.process.pid, signal.SIGCONT)


def follows(client: "redis.Redis") -> bool:
    state: Any = client.info("replication")
    return bool(state["master_link_status"] == "up")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    with redis_process(folder / "primary") as primary, redis_process(folder / "replica") as replica:
        with redis.Redis.from_url(primary.url) as client:
            client.config_set("repl-diskless-sync-delay", 0)
        with redis.Redis.from_url(replica.url) as client:
            client.replicaof("127.0.0.1", str(urlsplit(primary.url).port))
            wait_for("the replica follows", lambda: follows(client))
        yield Pair(primary, replica)


@pytest.fixture
async def client(pair: Pair) -> AsyncIterator[Any]:
    client = connect_redis(pair.primary.url, timeout=5)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
def store(client: Any) -> EpisodeStore:
    return EpisodeStore(client, ttl=TTL, retained=5, replicas=1, replica_wait=PATIENCE)


@pytest.fixture
def hasty(client: Any) -> EpisodeStore:
    return EpisodeStore(client, ttl=TTL, retained=5, replicas=1, replica_wait=WAIT)


def unavailable(found: object) -> bool:
    return isinstance(found, ServiceError) and (found.code, found.reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "STORE_UNAVAILABLE",
    )


async def test_a_commit_that_is_answered_is_at_the_replica(pair: Pair, store: EpisodeStore) -> None:
    assert await store.missing() == []
    with redis.Redis.from_url(pair.replica.url) as there:
        for step in range(10):
            state = await with_steps(store, 1, f"episode-{step}")
            assert there.hget(episode_key(state.episode_id), "committed") == b"0"


async def test_what_the_replica_has_not_got_is_not_told_however_one_asks(
    pair: Pair, store: EpisodeStore, hasty: EpisodeStore
) -> None:
    state = await with_steps(store, 1)
    taken = replace(record(1), history_digest=extend_history(state.history_digest, [word.row for word in record(1).words]))
    found: object
    with pair.silent_replica():
        for _ in range(2):  # the second finds the step at the primary
            (found,) = await hasty.commit_all([(state, 1, taken)])
            assert unavailable(found)
        found, other = await hasty.read_all([("episode", 1), ("episode", 2)])
        assert unavailable(found)
        assert not isinstance(other, Exception)  # a step that is not there needs no replica
        for _ in range(2):
            with pytest.raises(ServiceError, match="unavailable"):
                await hasty.create(state_of("another"))
            with pytest.raises(ServiceError, match="unavailable"):
                await hasty.end("episode")
        assert "NotReplicated" in (await hasty.missing())[0]
    (read,) = await store.read_all([("episode", 1)])
    assert not isinstance(read, Exception)
    assert read[1] == taken
    assert (await store.create(state_of("another"))).committed == -1


async def test_a_batch_is_confirmed_as_a_whole_and_its_refusals_stay(store: EpisodeStore) -> None:
    first, second = await with_steps(store, 2, "first"), state_of("second")
    wanted = [(first, 2), (second, 0), (first, 9), (first, 0)]
    taken = replace(record(0), history_digest=bytes(16))
    found = await store.commit_all([(state, step, taken) for state, step in wanted])
    assert found[:2] == [Committed(), Committed()]
    assert isinstance(found[2], Refused)
    assert isinstance(found[3], AlreadyCommitted)


async def test_a_repeat_writes_nothing_that_anybody_notices(store: EpisodeStore, client: Any) -> None:
    state = await with_steps(store, 1)
    before = await client.hgetall(episode_key("episode")), await client.pttl(episode_key("episode"))
    outcome, _ = await commit(store, state_of(), 0)
    assert isinstance(outcome, AlreadyCommitted)
    assert await client.hgetall(episode_key("episode")) == before[0]
    assert 0 < await client.pttl(episode_key("episode")) <= before[1]
    assert state.committed == 0


async def test_scripts_that_redis_has_forgotten_are_told_again(store: EpisodeStore, client: Any) -> None:
    await with_steps(store, 1)
    await client.script_flush()
    await with_steps(store, 2, "another")


async def test_without_replicas_to_wait_for_a_silent_one_keeps_nobody(pair: Pair, client: Any) -> None:
    with pair.silent_replica():
        await with_steps(EpisodeStore(client, ttl=TTL, retained=5), 2)
