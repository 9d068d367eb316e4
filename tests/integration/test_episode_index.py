"""`EpisodeIndex`: filtered pages agree with all episodes, and read few of them; on one Redis and on a cluster."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from support.redis_cluster import RedisClusterProcesses
from support.stored import redis_process, with_steps

from services.protocol.names import tenant_of
from services.protocol.queries import EpisodeFilter
from services.protocol.values import EpisodeState
from services.runtime.errors import ServiceError
from services.runtime.slices import Slices
from services.store.episodes import EpisodeStore, new_episode
from services.store.indexer import Indexer
from services.store.keys import INDEX, episode_key, index_key
from services.store.redis import connect_redis

AGENTS = {"small": "a" * 64, "large": "b" * 63 + "1", "larger": "b" * 63 + "2"}
TENANTS = ("", "@acme", "@other")


@pytest.fixture(scope="module", params=["one Redis", "cluster"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("redis")
    if request.param == "one Redis":
        with redis_process(folder) as process:
            yield process.url
    else:
        cluster = RedisClusterProcesses(folder)
        cluster.start()
        yield cluster.url
        cluster.stop()


@pytest.fixture
async def client(url: str) -> AsyncIterator[Any]:
    client = connect_redis(url, timeout=5)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
def store(client: Any) -> EpisodeStore:
    return EpisodeStore(client, ttl=600, ended_ttl=600, retained=10)


async def several(store: EpisodeStore, count: int, choose: random.Random) -> list[EpisodeState]:
    """Episodes of several tenants and agents, some of which have ended, some with a reward."""
    made = []
    for number in range(count):
        agent = choose.choice(list(AGENTS))
        name = f"{choose.choice(('run', 'try'))}-{number}{choose.choice(TENANTS)}"
        state = await store.create(new_episode(name, agent=agent, agent_digest=AGENTS[agent]))
        if choose.random() < 0.6:
            ended = await store.end(name, choose.choice((None, 0.0, 0.5, 1.0)))
            assert ended
            state = ended[0]
        made.append(state)
    return made


def asked(choose: random.Random, made: list[EpisodeState]) -> EpisodeFilter:
    """A filter of some of the conditions."""
    times = sorted(choose.choice(made).created_us for _ in range(2))
    last = sorted(choose.choice(made).updated_us for _ in range(2))
    every: dict[str, Any] = {
        "agent": choose.choice(("small", "large", "b", "b" * 63 + "2", "unknown")),
        "ended": choose.choice((False, True)),
        "created": (times[0], times[1]),
        "updated": (last[0], last[1]),
        "reward": choose.choice(((0.5, 1.0), (float("-inf"), 0.0))),
        "prefix": choose.choice(("run", "run-1", "x")),
        "succeeded": choose.choice((False, True)),
        "success_above": 0.5,
    }
    return EpisodeFilter(**{key: every[key] for key in choose.sample(sorted(every), choose.randrange(4))})


async def pages(
    store: EpisodeStore, wanted: EpisodeFilter, *, newest: bool = True, tenant: str | None = None, size: int = 7
) -> list[EpisodeState]:
    """All pages."""
    found: list[EpisodeState] = []
    place, first = None, True
    while first or place:
        first = False
        place, page = await store.index.page(wanted, place, size, newest=newest, tenant=tenant)
        assert len(page) <= size
        found += [one for one in page if isinstance(one, EpisodeState)]
    return found


async def test_pages_hold_what_looking_at_every_episode_finds_in_order(store: EpisodeStore) -> None:
    choose = random.Random(7)
    made = await several(store, 60, choose)
    for _ in range(80):
        wanted, newest, tenant = asked(choose, made), choose.random() < 0.5, choose.choice((None, "", "acme"))
        meant = [one for one in made if wanted.fits(one) and tenant in (None, tenant_of(one.episode_id))]
        ordered = sorted(((one.created_us, one.episode_id) for one in meant), reverse=newest)
        found = await pages(store, wanted, newest=newest, tenant=tenant)
        assert [(one.created_us, one.episode_id) for one in found] == ordered, wanted


async def test_many_that_begin_in_the_same_microsecond_are_all_found(store: EpisodeStore) -> None:
    made = [await store.create(new_episode(f"e{i}", agent="small", agent_digest=AGENTS["small"])) for i in range(130)]
    for one in made:
        await store._client.hset(episode_key(one.episode_id), "created_us", made[0].created_us)
    await store.index.put(replace(one, created_us=made[0].created_us) for one in made)
    for newest in (True, False):
        found = await pages(store, EpisodeFilter(), newest=newest, size=3)
        assert sorted(one.episode_id for one in found) == sorted(one.episode_id for one in made)


async def test_a_first_step_enters_an_episode_and_deleting_takes_it_out(store: EpisodeStore, client: Any) -> None:
    state = await with_steps(store, 3)
    key = index_key("", state.agent_digest, ended=False)
    ((name, score),) = await client.zrange(key, 0, -1, withscores=True)
    stored, _ = await store.read("episode")
    assert stored
    assert (name, score) == (b"episode", stored.created_us)
    assert await store.delete("episode")
    assert not await client.exists(key)


async def test_a_later_life_of_a_name_keeps_its_place(store: EpisodeStore, client: Any) -> None:
    first = await store.create(new_episode("again", agent="small", agent_digest=AGENTS["small"]))
    await client.delete(episode_key("again"))  # as if it had expired
    second = await store.create(new_episode("again", agent="small", agent_digest=AGENTS["small"]))
    await store.index.drop("again", first.agent_digest, first.created_us)
    assert [one.created_us for one in await pages(store, EpisodeFilter())] == [second.created_us]


async def test_a_sweep_enters_what_an_earlier_version_or_a_dead_process_has_left_out_and_drops_what_is_gone(
    store: EpisodeStore, client: Any
) -> None:
    made = await several(store, 30, random.Random(3))
    keys = [
        index_key(t.removeprefix("@"), d, ended=ended) for t in TENANTS for d in AGENTS.values() for ended in (False, True)
    ]
    for key in (INDEX, *keys):
        await client.delete(key)
    assert await pages(store, EpisodeFilter()) == []
    for key in keys:
        await client.zadd(key, {"gone": 5.0})
    ended = next(one for one in made if one.ended and not tenant_of(one.episode_id))
    await client.zadd(index_key("", ended.agent_digest, ended=False), {ended.episode_id: ended.created_us})
    await Indexer(store).sweep()
    assert {one.episode_id for one in await pages(store, EpisodeFilter())} == {one.episode_id for one in made}
    running = await client.zrange(index_key("", ended.agent_digest, ended=False), 0, -1)
    assert not {b"gone", ended.episode_id.encode()} & set(running)
    for one in made:
        await client.delete(episode_key(one.episode_id))
    await Indexer(store).sweep()
    assert not [key for key in (INDEX, *keys) if await client.exists(key)]


async def test_an_episode_whose_stored_form_is_damaged_is_told_apart(store: EpisodeStore, client: Any) -> None:
    await several(store, 5, random.Random(1))
    await store.create(new_episode("broken", agent="small", agent_digest=AGENTS["small"]))
    await client.hset(episode_key("broken"), "seed", "none")
    _, page = await store.index.page(EpisodeFilter(prefix="bro"), None, 10, newest=True, tenant="")
    (error,) = page
    assert isinstance(error, ServiceError)
    assert error.reason == "EPISODE_DAMAGED"


async def test_an_act_goes_on_while_the_index_cannot_be_written(store: EpisodeStore, client: Any) -> None:
    await client.set(INDEX, "of another type")
    await with_steps(store, 2)
    assert await store.end("episode")


async def test_a_filtered_page_of_thousands_reads_few(client: Any) -> None:
    store = EpisodeStore(client, ttl=600, retained=10)
    for first in range(0, 1500, 100):
        names = (f"e{number:05}" for number in range(first, first + 100))
        agents = (("small", "large")[number % 15 == 0] for number in range(first, first + 100))
        begun = zip(names, agents, strict=True)
        states = (new_episode(name, agent=agent, agent_digest=AGENTS[agent]) for name, agent in begun)
        await asyncio.gather(*(store.create(state) for state in states))

    async def read(wanted: EpisodeFilter) -> tuple[int, int]:
        """Episodes on a page, and how many had to be read for it."""
        before = await _hmgets(client)
        _, page = await store.index.page(wanted, None, 50, newest=True, tenant="")
        return len(page), await _hmgets(client) - before

    assert await read(EpisodeFilter(agent="large")) == (50, 50)
    assert await read(EpisodeFilter(ended=False)) == (50, 50)
    assert await read(EpisodeFilter(prefix="e0001")) == (10, 10)
    found, examined = await read(EpisodeFilter(updated=(0, 1)))
    assert (found, examined // 100) == (0, 10)  # one page, of several that are empty


class CountedSlices(Slices):
    """Counts the turns that work has waited for."""

    turns = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        self.turns += 1
        async with super().turn():
            yield


async def test_a_page_of_few_names_among_many_seldom_waits_for_a_turn(client: Any) -> None:
    slices = CountedSlices()
    store = EpisodeStore(client, ttl=600, retained=10, slices=slices)
    for first in range(0, 800, 100):
        states = (
            new_episode(f"{i % 20:02}-{i}", agent="small", agent_digest=AGENTS["small"]) for i in range(first, first + 100)
        )
        await asyncio.gather(*(store.create(state) for state in states))
    slices.turns = 0
    _, page = await store.index.page(EpisodeFilter(prefix="07-"), None, 50, newest=True, tenant="")
    assert (len(page), slices.turns) == (40, 1)  # a sweep, which takes turns as well, would hold up each


async def _hmgets(client: Any) -> int:
    reports = await client.info("commandstats", **({"target_nodes": "all"} if hasattr(client, "get_primaries") else {}))
    each = reports.values() if hasattr(client, "get_primaries") else [reports]
    return sum(int(report.get("cmdstat_hmget", {}).get("calls", 0)) for report in each)
