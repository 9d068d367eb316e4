"""Episodes in a real Redis Cluster of three nodes: every call of the store that a single Redis serves."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from support.redis_cluster import RedisClusterProcesses

from agent.history import extend_history
from agent.vocabulary import Word
from services.protocol.values import CommittedStep
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
        found += [state.episode_id for state in states if state.episode_id.startswith(prefix)]
        pages += 1
        if cursor == 0:
            break
    assert sorted(found) == sorted(names)
    assert pages >= 3
