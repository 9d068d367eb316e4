"""Episodes in a real Redis Cluster of three nodes: every call of the store that a single Redis serves."""

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from support.redis_cluster import RedisClusterProcesses

from services.domain.history import extend_history
from services.domain.redis import connect_redis
from services.memory.history import HistoryReader
from services.policy.episodes import AlreadyCommitted, Committed, EpisodeStore, Refused, Step, new_episode

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
    await store.ping()
    state = new_episode(f"e:{uuid.uuid4().hex}", agent="a", agent_digest=DIGEST)
    first = Step(history_digest=extend_history(state.history, (5,)))
    first.tokens.add(id=5, text="key")
    assert await store.commit(state, 0, first, first.history_digest) == Committed()
    assert await store.commit(state, 0, first, first.history_digest) == AlreadyCommitted(0, first)
    assert isinstance(await store.commit(state, 2, first, first.history_digest), Refused)
    known, step = await store.read(state.episode_id, 0)
    assert known is not None
    assert (known.committed, step) == (0, first)
    assert (await store.steps(state.episode_id, first=0, limit=10))[1] == [(0, first)]
    assert await store.watch(state.episode_id, first=0, wait=0.1) == [(0, first)]
    client = connect_redis(cluster.url, timeout=5)
    words = await HistoryReader(client).last_words(state.episode_id, step=1, steps=1, digest=first.history_digest)
    await client.aclose()
    assert words == [5]
    ended = await store.end(state.episode_id)
    assert ended is not None
    assert ended.ended


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
