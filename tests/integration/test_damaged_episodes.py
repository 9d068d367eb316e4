"""What is stored of an episode is damaged: it is never served as whole, the reason is final, and no other one notices."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import grpc
import pytest
from support.stored import TTL, commit, record, state_of, with_steps

from services.protocol.values import EpisodeState
from services.runtime.errors import ServiceError
from services.store.episodes import Committed, EpisodeStore
from services.store.history import HistoryReader
from services.store.keys import episode_key, history_key

DAMAGED = (grpc.StatusCode.DATA_LOSS, "EPISODE_DAMAGED")
STEPS = 6
HASH, STREAM = episode_key("episode"), history_key("episode")


@pytest.fixture
def store(client: Any) -> EpisodeStore:
    return EpisodeStore(client, ttl=TTL, retained=100)


async def lose_stream(client: Any) -> None:
    """What an evicting Redis does."""
    await client.delete(STREAM)


async def lose_newest(client: Any) -> None:
    await client.xdel(STREAM, f"{STEPS}-0")


async def lose_middle(client: Any) -> None:
    await client.xdel(STREAM, "3-0")


async def half_a_hash(client: Any) -> None:
    await client.hdel(HASH, "history", "seed")


async def no_number(client: Any) -> None:
    await client.hset(HASH, "length", "many")


async def other_hash(client: Any) -> None:
    await client.delete(HASH)
    await client.set(HASH, "somebody else's")


async def other_stream(client: Any) -> None:
    await client.delete(STREAM)
    await client.rpush(STREAM, "somebody else's")


async def unreadable(client: Any) -> None:
    """A step in the middle that is no message of ours."""
    entries = await client.xrange(STREAM)
    await client.delete(STREAM)
    for entry, fields in entries:
        await client.xadd(STREAM, {"step": b"\xff\xff"} if entry == b"3-0" else fields, id=entry)


Damage = Callable[[Any], Awaitable[None]]
IN_STREAM = [lose_stream, lose_newest, lose_middle, other_stream, unreadable]
GONE = [(lose_stream, 1), (lose_middle, 2), (unreadable, 2), (lose_newest, STEPS - 1)]
IN_HASH = [half_a_hash, no_number, other_hash]
UNSEEN_BY_COMMIT = [lose_middle, unreadable]  # the commit looks at the newest step alone


async def damaged(call: Awaitable[Any]) -> ServiceError:
    """The error of a call that must find the damage."""
    with pytest.raises(ServiceError) as caught:
        await call
    error = caught.value
    assert (error.code, error.reason, error.retry_after) == (*DAMAGED, None)
    assert error.metadata == {"episode_id": "episode"}
    assert "WRONGTYPE" not in error.message, "Redis's own words are for the log"
    return error


@pytest.mark.parametrize("damage", IN_STREAM)
async def test_steps_around_the_damage_are_not_served_as_whole(store: EpisodeStore, client: Any, damage: Damage) -> None:
    await with_steps(store, STEPS)
    await damage(client)
    await damaged(store.steps("episode", first=0, limit=1000))


@pytest.mark.parametrize("damage", IN_STREAM)
async def test_no_state_is_rebuilt_from_them_and_no_retry_is_asked_for(
    store: EpisodeStore, client: Any, damage: Damage
) -> None:
    state = await with_steps(store, STEPS)
    await damage(client)
    await damaged(HistoryReader(client).last_words("episode", step=STEPS, steps=STEPS, digest=state.history_digest))


@pytest.mark.parametrize("damage", [*(one for one in IN_STREAM if one not in UNSEEN_BY_COMMIT), *IN_HASH])
async def test_a_commit_does_not_go_on_from_a_damaged_episode(store: EpisodeStore, client: Any, damage: Damage) -> None:
    """As a replica does whose memory slot still holds the whole history."""
    state = await with_steps(store, STEPS)
    await damage(client)
    before = await client.dump(HASH), await client.dump(STREAM)
    await damaged(commit(store, state, STEPS))
    assert (await client.dump(HASH), await client.dump(STREAM)) == before


@pytest.mark.parametrize(("damage", "step"), GONE)
async def test_a_step_that_is_gone_is_not_called_too_old(
    store: EpisodeStore, client: Any, damage: Damage, step: int
) -> None:
    state = await with_steps(store, STEPS)
    await damage(client)
    await damaged(store.read("episode", step))
    await damaged(commit(store, state, step))


async def test_a_step_that_is_no_longer_retained_is_no_damage(client: Any) -> None:
    store = EpisodeStore(client, ttl=TTL, retained=3)
    await with_steps(store, STEPS)
    known, steps = await store.steps("episode", first=0, limit=1000)
    assert (known is not None, [step for step, _ in steps]) == (True, [3, 4, 5])
    assert (await store.read("episode", 1))[1] is None
    assert [step for step, _ in (await store.steps("episode", first=1, limit=2))[1]] == [3, 4]


async def test_pages_beside_the_damage_are_read(store: EpisodeStore, client: Any) -> None:
    await with_steps(store, STEPS)
    await lose_middle(client)
    assert [step for step, _ in (await store.steps("episode", first=0, limit=2))[1]] == [0, 1]
    assert [step for step, _ in (await store.steps("episode", first=3, limit=2))[1]] == [3, 4]
    await damaged(store.steps("episode", first=2, limit=2))


@pytest.mark.parametrize("damage", IN_HASH)
async def test_a_damaged_description_is_named_by_every_call(store: EpisodeStore, client: Any, damage: Damage) -> None:
    await with_steps(store, STEPS)
    await damage(client)
    for call in (store.read("episode"), store.read("episode", 0), store.create(state_of()), store.end("episode")):
        await damaged(call)


@pytest.mark.parametrize("field", ["created_us", "seed", "committed", "length", "total_reward"])
async def test_numbers_that_no_message_can_hold_are_damage(store: EpisodeStore, client: Any, field: str) -> None:
    await with_steps(store, 1)
    await client.hset(HASH, field, "nothing" if field == "total_reward" else str(10**30))
    await damaged(store.read("episode"))


@pytest.mark.parametrize("damage", IN_HASH)
async def test_a_page_names_a_damaged_episode_and_holds_all_others(store: EpisodeStore, client: Any, damage: Damage) -> None:
    others = {f"other-{i}" for i in range(5)}
    for name in (*others, "episode"):
        await with_steps(store, 1, name)
    await damage(client)
    await client.set(b"shelm:{\xff\xfe}:episode", "a name that is no text")
    cursor, found = await store.page(0, 1000)
    assert cursor == 0
    assert {one.episode_id for one in found if isinstance(one, EpisodeState)} == others
    (error,) = [one for one in found if isinstance(one, ServiceError)]
    assert (error.code, error.reason, error.metadata) == (*DAMAGED, {"episode_id": "episode"})


@pytest.mark.parametrize("damage", [lose_stream, other_stream, *IN_HASH])
async def test_a_trip_with_a_damaged_episode_commits_the_steps_of_all_others(
    store: EpisodeStore, client: Any, damage: Damage
) -> None:
    states = [await with_steps(store, STEPS, name) for name in ("one", "episode", "two")]
    await damage(client)
    record_of = replace(record(STEPS), history_digest=b"d" * 16)
    one, bad, two = await store.commit_all([(state, STEPS, record_of) for state in states])
    assert (one, two) == (Committed(), Committed())
    assert isinstance(bad, ServiceError)
    assert (bad.code, bad.reason) == DAMAGED


async def test_an_error_of_our_own_code_is_no_failure_of_redis(store: EpisodeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await with_steps(store, 1)

    def broken(*_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr("services.store.episodes.read_state", broken)
    with pytest.raises(RuntimeError, match="ours"):
        await store.steps("episode", first=0, limit=1)
