"""Episodes in a real Redis Cluster of three nodes: every call of the store that a single Redis serves."""

import asyncio
import threading
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import grpc
import pytest
import redis
from support.redis_cluster import RedisClusterProcesses
from support.stored import record, state_of

from agent.history import extend_history
from agent.vocabulary import Word
from services.protocol.values import CommittedStep, EpisodeState
from services.runtime.errors import ServiceError
from services.store.episodes import AlreadyCommitted, Committed, EpisodeStore, Refused, new_episode
from services.store.history import HistoryReader
from services.store.redis import connect_redis

DIGEST = "d" * 64
COUNT = 40


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisClusterProcesses]:
    processes = RedisClusterProcesses(tmp_path_factory.mktemp("cluster"))
    try:
        processes.start()
        yield processes
    finally:
        processes.stop()


@pytest.fixture
async def store(cluster: RedisClusterProcesses) -> AsyncIterator[EpisodeStore]:
    client = connect_redis(cluster.url, timeout=5)
    yield EpisodeStore(client, ttl=60, retained=100)
    await client.aclose()


async def test_commit_read_watch_and_history_of_an_episode(cluster: RedisClusterProcesses, store: EpisodeStore) -> None:
    assert await store.missing() == []
    state = new_episode(f"e:{uuid.uuid4().hex}", agent="a", agent_digest=DIGEST)
    first = CommittedStep(
        words=(Word(5, "key", 0.5),),
        action=2,
        value=0.25,
        log_prob=-0.5,
        frame_fingerprint=b"f" * 16,
        history_digest=extend_history(state.history_digest, (5,)),
        time_us=1_000_000,
    )
    assert await store.commit(state, 0, first) == Committed()
    assert await store.commit(state, 0, first) == AlreadyCommitted(0, first)
    assert isinstance(await store.commit(state, 2, first), Refused)
    known, step = await store.read(state.episode_id, 0)
    assert known is not None
    assert (known.committed, step) == (0, first)
    assert (await store.steps(state.episode_id, first=0, limit=10))[1] == [(0, first)]
    await store.wait_for_step(state.episode_id, 0, seconds=5)
    client = connect_redis(cluster.url, timeout=5)
    words = await HistoryReader(client).last_words(state.episode_id, step=1, steps=1, digest=first.history_digest)
    await client.aclose()
    assert words == [5]
    ended = await store.end(state.episode_id)
    assert ended is not None
    assert ended[0].ended


async def test_pages_go_through_all_nodes_and_name_every_episode_once(store: EpisodeStore) -> None:
    prefix = f"page-{uuid.uuid4().hex}"
    names = {f"{prefix}-{i}" for i in range(COUNT)}
    for name in names:
        await store.create(new_episode(name, agent="a", agent_digest=DIGEST))
    found: list[str] = []
    cursor, pages = 0, 0
    while True:
        cursor, states = await store.page(cursor, 10)
        found += [state.episode_id for state in states if isinstance(state, EpisodeState)]
        pages += 1
        if cursor == 0:
            break
    assert sorted(name for name in found if name.startswith(prefix)) == sorted(names)
    assert pages >= 3


async def test_steps_of_several_episodes_are_committed_in_one_trip_to_each_node(store: EpisodeStore) -> None:
    states = [state_of(f"batch-{number}-{uuid.uuid4().hex}") for number in range(12)]
    taken = replace(record(0), history_digest=b"d" * 16)
    assert await store.commit_all([(state, 0, taken) for state in states]) == [Committed()] * len(states)


async def test_while_connections_are_cut_a_commit_succeeds_or_says_to_retry(
    cluster: RedisClusterProcesses, store: EpisodeStore
) -> None:
    """redis-py's cluster client then lets AttributeError and TypeError through."""
    stop = threading.Event()

    def cut() -> None:
        nodes = [redis.Redis(port=port) for port in cluster.ports]
        while not stop.wait(0.02):
            for node in nodes:
                node.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        for node in nodes:
            node.close()

    async def play(number: int) -> Counter[str]:
        found: Counter[str] = Counter()
        while time.monotonic() < until:
            state = state_of(f"cut-{number}-{uuid.uuid4().hex}")
            (outcome,) = await store.commit_all([(state, 0, replace(record(0), history_digest=b"d" * 16))])
            if isinstance(outcome, ServiceError):
                assert (outcome.code, outcome.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
            else:
                assert not isinstance(outcome, Exception), outcome
            found[type(outcome).__name__] += 1
        return found

    cutting = threading.Thread(target=cut)
    until = time.monotonic() + 3
    cutting.start()
    try:
        found = sum(await asyncio.gather(*(play(number) for number in range(16))), Counter())
    finally:
        stop.set()
        cutting.join()
    assert found["Committed"] > 0
    for _ in range(20):  # and the client is as good as new
        if not await store.missing():
            break
        await asyncio.sleep(0.1)
    assert await store.missing() == []
