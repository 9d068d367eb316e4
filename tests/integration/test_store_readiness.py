"""Readiness of the store: whatever keeps an Act from being committed is noticed before, with the reason for the log."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.deployment import RedisProcess
from support.redis_cluster import RedisClusterProcesses
from support.stored import TTL, commit, redis_process, state_of, with_steps

from services.runtime.errors import ServiceError
from services.store.episodes import EpisodeStore
from services.store.history import HistoryReader
from services.store.redis import connect_redis


def store_of(client: Any) -> EpisodeStore:
    return EpisodeStore(client, ttl=TTL, retained=100)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[RedisProcess]:
    """A Redis of one test, which sets it up as it likes."""
    with redis_process(tmp_path) as process:
        yield process


@pytest.fixture
async def admin(alone: RedisProcess) -> AsyncIterator[Any]:
    client = connect_redis(alone.url, timeout=5)
    yield client
    await client.aclose()


async def check_unable(client: Any, *reasons: str) -> None:
    """The store is not ready for one of these reasons, and a commit fails as readiness said, without the reason."""
    told = "; ".join(await store_of(client).missing())
    assert any(reason in told for reason in reasons), told
    with pytest.raises(ServiceError) as refused:
        await commit(store_of(client), state_of(), 0)
    assert refused.value.reason == "STORE_UNAVAILABLE"
    assert not any(reason in refused.value.message for reason in reasons)


async def test_a_redis_that_can_do_all_is_ready_and_soon_forgets_the_probe(admin: Any) -> None:
    await with_steps(store_of(admin), 2)
    for _ in range(3):
        assert await store_of(admin).missing() == []
    assert [state.episode_id for state in (await store_of(admin).page(0, 100))[1]] == ["episode"]  # type: ignore[union-attr]
    kept = [key async for key in admin.scan_iter("*probe*")]
    assert kept
    assert all([0 < await admin.pttl(key) <= 10_000 for key in kept])


async def test_a_replica_that_only_reads_is_not_ready_but_serves_histories(admin: Any, tmp_path: Path) -> None:
    with redis_process(tmp_path / "other") as primary:
        await admin.replicaof("127.0.0.1", primary.url.rpartition(":")[2].partition("/")[0])
        await check_unable(admin, "read only replica")
        assert await HistoryReader(admin).missing() == []


@pytest.mark.parametrize("command", ["evalsha", "xadd", "hset", "pexpire"])
async def test_a_user_who_may_not_do_what_a_commit_does_is_not_ready(alone: RedisProcess, admin: Any, command: str) -> None:
    await store_of(admin).missing()  # so that the script is known, and only the right to use it lacks
    await admin.execute_command("ACL", "SETUSER", "weak", "on", ">word", "~*", "&*", "+@all", f"-{command}")
    client = connect_redis(alone.url.replace("redis://", "redis://weak:word@"), timeout=5)
    await check_unable(client, "permissions", "can't run this command")  # of a script: from Redis 7.2 on, and before
    await client.aclose()


async def test_rights_on_the_keys_of_shelm_are_enough(alone: RedisProcess, admin: Any) -> None:
    """What docs/deploy.md asks for."""
    rights = ["+@read", "+@write", "+@scripting", "+@connection", "+@transaction", "+info", "-@dangerous", "+info"]
    await admin.execute_command("ACL", "SETUSER", "able", "on", ">word", "~shelm:*", *rights)
    client = connect_redis(alone.url.replace("redis://", "redis://able:word@"), timeout=5)
    assert await store_of(client).missing() == []
    await with_steps(store_of(client), 2)
    await client.aclose()


async def test_a_full_memory_is_not_ready_and_is_again_when_there_is_room(admin: Any) -> None:
    await admin.config_set("maxmemory", "1")
    await check_unable(admin, "used memory")
    await admin.config_set("maxmemory", "0")
    assert await store_of(admin).missing() == []


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-lru", "volatile-ttl"])
async def test_a_redis_that_evicts_is_not_ready(admin: Any, policy: str) -> None:
    await admin.config_set("maxmemory-policy", policy)
    assert policy in "; ".join(await store_of(admin).missing())
    await admin.config_set("maxmemory-policy", "noeviction")
    assert await store_of(admin).missing() == []


async def test_where_the_policy_is_not_told_the_log_warns_once(
    alone: RedisProcess, admin: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.store.readiness._unknown", set())
    await admin.execute_command("ACL", "SETUSER", "able", "on", ">word", "~*", "+@all", "-info", "-config")
    client = connect_redis(alone.url.replace("redis://", "redis://able:word@"), timeout=5)
    for _ in range(3):
        assert await store_of(client).missing() == []
    await client.aclose()
    assert caplog.text.count("maxmemory-policy") == 1


async def test_a_redis_without_hello_works(alone: RedisProcess, admin: Any) -> None:
    """One before version 6, or a proxy."""
    await admin.execute_command("ACL", "SETUSER", "old", "on", ">word", "~*", "&*", "+@all", "-hello", "-client")
    client = connect_redis(alone.url.replace("redis://", "redis://old:word@"), timeout=5)
    assert await store_of(client).missing() == []
    state = await with_steps(store_of(client), 2)
    assert await HistoryReader(client).last_words("episode", step=2, steps=2, digest=state.history_digest) == [0, 1, 10, 11]
    await client.aclose()


async def test_one_that_does_not_let_histories_be_read_is_not_ready_for_memory(alone: RedisProcess, admin: Any) -> None:
    await admin.execute_command("ACL", "SETUSER", "blind", "on", ">word", "~*", "+@all", "-xrange")
    client = connect_redis(alone.url.replace("redis://", "redis://blind:word@"), timeout=5)
    assert "NoPermissionError" in "; ".join(await HistoryReader(client).missing())
    await client.aclose()


async def test_in_a_cluster_every_primary_must_be_able(tmp_path: Path) -> None:
    cluster = RedisClusterProcesses(tmp_path)
    try:
        cluster.start()
        client = connect_redis(cluster.url, timeout=5)
        assert await store_of(client).missing() == []
        for port in cluster.ports:
            node = connect_redis(f"redis://127.0.0.1:{port}", timeout=5)
            for name, (bad, good), reason in (
                ("maxmemory", ("1", "0"), "used memory"),
                ("maxmemory-policy", ("allkeys-lru", "noeviction"), f"127.0.0.1:{port} is allkeys-lru"),
            ):
                await node.config_set(name, bad)
                assert reason in "; ".join(await store_of(client).missing())
                await node.config_set(name, good)
            await node.aclose()
            assert await store_of(client).missing() == []
        await client.aclose()
    finally:
        cluster.stop()
