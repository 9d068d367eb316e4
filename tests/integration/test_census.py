"""How many episodes each tenant has in a real Redis, and whose names a page of a listing holds."""

import asyncio
from typing import Any

import pytest

from deploy.local.stack import free_port
from services.store import census
from services.store.census import Census
from services.store.episodes import EpisodeStore, new_episode
from services.store.redis import connect_redis


@pytest.fixture
def store(client: Any) -> EpisodeStore:
    return EpisodeStore(client, ttl=60, retained=100)


async def begin(store: EpisodeStore, *names: str) -> None:
    for name in names:
        await store.create(new_episode(name, agent="tiny", agent_digest="digest"))


async def test_episodes_are_counted_by_tenant(store: EpisodeStore) -> None:
    await begin(store, "e", "e@acme", "f@acme", "e@~acme")
    counted = Census(store, lambda: True)
    counted.begins("acme")  # is among those that are counted, once
    await counted.count()
    assert [counted.of(tenant) for tenant in ("", "acme", "~acme", "other")] == [1, 2, 1, 0]
    await store.delete("f@acme")
    counted.begins("other")
    await counted.count()
    assert [counted.of(tenant) for tenant in ("acme", "other")] == [1, 0]


async def test_what_begins_while_it_is_counted_counts(store: EpisodeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Census(store, lambda: True)
    names = store.names

    async def looked_at(cursor: int, size: int) -> Any:
        found = await names(cursor, size)
        counted.begins("acme")
        return found

    monkeypatch.setattr(store, "names", looked_at)
    await counted.count()
    assert counted.of("acme") == 1


async def test_a_redis_that_is_away_leaves_the_last_count(monkeypatch: pytest.MonkeyPatch) -> None:
    store = EpisodeStore(connect_redis(f"redis://127.0.0.1:{free_port()}/0", timeout=0.2), ttl=60, retained=100)
    monkeypatch.setattr(census, "EVERY", 0.0)
    asked, often = [], asyncio.Event()

    def needed() -> bool:
        asked.append(True)
        if len(asked) == 3:
            often.set()
        return True

    counted = Census(store, needed)
    counted.begins("acme")
    counted.start()
    await asyncio.wait_for(often.wait(), 30)
    await counted.close()
    assert counted.of("acme") == 1


async def test_a_page_holds_the_names_of_one_tenant(store: EpisodeStore) -> None:
    everybody = [f"{i}{end}" for i in range(30) for end in ("", "@acme", "@acme2", "@~acme")]
    await begin(store, *everybody)

    async def listed(tenant: str | None) -> list[str]:
        found, cursor, first = list[str](), 0, True
        while cursor or first:
            first = False
            cursor, names = await store.names(cursor, 10, tenant=tenant)
            assert names or not cursor, "a page is empty only at the end"
            found += names
        return sorted(set(found))

    for tenant in ("acme", "acme2", "~acme"):
        assert await listed(tenant) == sorted(name for name in everybody if name.endswith(f"@{tenant}"))
    assert await listed("") == sorted(name for name in everybody if "@" not in name)
    assert await listed(None) == sorted(everybody)
