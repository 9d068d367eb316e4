"""`EpisodeStore` and `HistoryReader` against a real Redis: every outcome of a commit."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import grpc
import pytest
import redis.asyncio
from support.stored import AGENT, TTL, commit, record, state_of, with_steps

from agent.history import empty_history
from deploy.local.stack import free_port
from services.protocol.values import EpisodeState
from services.runtime.errors import ServiceError
from services.store.episodes import (
    AlreadyCommitted,
    Committed,
    EpisodeStore,
    Refused,
    new_episode,
)
from services.store.history import HistoryReader
from services.store.keys import episode_key, history_key
from services.store.redis import connect_redis

RETAINED = 5


@pytest.fixture
def store(client: "redis.asyncio.Redis") -> EpisodeStore:
    return EpisodeStore(client, ttl=TTL, retained=RETAINED)


async def unchanged(client: "redis.asyncio.Redis", name: str = "episode") -> tuple[Any, Any]:
    """Everything Redis holds of an episode."""
    return await client.hgetall(episode_key(name)), await client.xrange(history_key(name))


async def test_step_0_creates_the_episode(store: EpisodeStore) -> None:
    began = time.time()
    outcome, expected = await commit(store, state_of(), 0)
    assert outcome == Committed()
    found, stored = await store.read("episode", 0)
    assert found is not None
    assert replace(found, created_us=0, updated_us=0, ttl_ms=0) == expected
    assert began - 1 < found.created_us / 1e6 < time.time() + 1
    assert stored is not None
    assert stored.history_digest == expected.history_digest
    assert (stored.words, stored.action) == (record(0).words, record(0).action)


async def test_steps_follow_each_other_and_have_their_number_as_entry_id(
    store: EpisodeStore, client: "redis.asyncio.Redis"
) -> None:
    state = await with_steps(store, 4)
    entries: Any = await client.xrange(history_key("episode"))
    assert [entry for entry, _ in entries] == [b"1-0", b"2-0", b"3-0", b"4-0"]
    found, _ = await store.read("episode")
    assert found is not None
    assert (found.committed, found.length, found.history_digest) == (3, 8, state.history_digest)


async def test_a_commit_that_is_repeated_changes_nothing_and_returns_what_is_stored(
    store: EpisodeStore, client: "redis.asyncio.Redis"
) -> None:
    """Its reply was lost: nobody knows whether it took place."""
    before = await with_steps(store, 2)
    outcome, _ = await commit(store, before, 2)
    assert outcome == Committed()
    content = await unchanged(client)
    for other in (None, record(2, word=99)):
        again, _ = await commit(store, before, 2, other)
        assert isinstance(again, AlreadyCommitted)
        assert again.committed == 2
        assert [word.row for word in again.step.words] == [20, 21]
    assert await unchanged(client) == content


async def test_an_earlier_step_returns_what_is_stored(store: EpisodeStore) -> None:
    state = await with_steps(store, 4)
    outcome, _ = await commit(store, state, 1)
    assert isinstance(outcome, AlreadyCommitted)
    assert outcome.committed == 3
    assert [word.row for word in outcome.step.words] == [10, 11]
    assert outcome.step.action == 1


async def test_a_step_that_is_no_longer_retained_is_too_old(store: EpisodeStore, client: "redis.asyncio.Redis") -> None:
    state = await with_steps(store, RETAINED + 3)
    assert await client.xlen(history_key("episode")) == RETAINED
    for step in (0, 2):
        outcome, _ = await commit(store, state, step)
        assert outcome == Refused("TOO_OLD", RETAINED + 2)
    outcome, _ = await commit(store, state, 3)
    assert isinstance(outcome, AlreadyCommitted)
    found, _ = await store.read("episode")
    assert found is not None
    assert found.length == 2 * (RETAINED + 3), "the length counts what was committed, not what is kept"


REFUSALS = [
    pytest.param(3, {}, Refused("GAP", 1), id="a-step-was-left-out"),
    pytest.param(2, {"history_digest": empty_history(AGENT)}, Refused("STALE", 1), id="another-history"),
    pytest.param(2, {"seed": 6}, Refused("STALE", 1), id="another-seed"),
    pytest.param(2, {"deterministic": True}, Refused("STALE", 1), id="another-way-to-choose"),
]


@pytest.mark.parametrize(("step", "changes", "expected"), REFUSALS)
async def test_a_step_computed_from_something_else_is_refused_and_changes_nothing(
    store: EpisodeStore, client: "redis.asyncio.Redis", step: int, changes: dict[str, Any], expected: Refused
) -> None:
    state = await with_steps(store, 2)
    content = await unchanged(client)
    outcome, _ = await commit(store, replace(state, **changes), step)
    assert outcome == expected
    assert await unchanged(client) == content


async def test_a_later_step_of_an_unknown_episode_is_not_found(store: EpisodeStore, client: "redis.asyncio.Redis") -> None:
    outcome, _ = await commit(store, state_of(), 1)
    assert outcome == Refused("NOT_FOUND", -1)
    assert await client.dbsize() == 0


async def test_after_the_end_no_step_follows_but_committed_ones_can_be_repeated(store: EpisodeStore) -> None:
    state = await with_steps(store, 2)
    for first in (True, False):  # ending is idempotent
        ended = await store.end("episode")
        assert ended is not None
        assert ended[0].ended
        assert ended[0].committed == 1
        assert ended[1] is first
    outcome, _ = await commit(store, state, 2)
    assert outcome == Refused("ENDED", 1)
    again, _ = await commit(store, state, 1)
    assert isinstance(again, AlreadyCommitted)


async def test_an_unknown_episode_cannot_be_ended(store: EpisodeStore) -> None:
    assert await store.end("unknown") is None


async def test_creating_is_idempotent_and_the_first_values_stay(store: EpisodeStore) -> None:
    first = await store.create(state_of())
    assert (first.seed, first.committed, first.history_digest) == (5, -1, empty_history(AGENT))
    outcome, state = await commit(store, first, 0)
    assert outcome == Committed()
    again = await store.create(state_of(seed=6, agent="other", deterministic=True))
    assert (again.seed, again.agent, again.deterministic, again.committed) == (5, "tiny", False, 0)
    assert again.history_digest == state.history_digest


async def test_an_episode_without_a_seed_gets_one_that_its_name_determines() -> None:
    seeds = [new_episode(name, agent="tiny", agent_digest=AGENT).seed for name in ("one", "one", "other")]
    assert seeds[0] == seeds[1] != seeds[2]
    assert all(0 <= seed < 2**63 for seed in seeds)


async def test_both_keys_expire_and_every_change_puts_it_off(store: EpisodeStore, client: "redis.asyncio.Redis") -> None:
    keys = (episode_key("episode"), history_key("episode"))

    async def left() -> list[int]:
        found = [await client.pttl(key) for key in keys]
        for key in keys:  # as if much of the time had passed
            await client.pexpire(key, 1000)
        return found

    await store.create(state_of())
    assert 0 < (await left())[0] <= TTL * 1000
    state = await with_steps(store, 1)
    for change in (None, commit(store, state, 1), store.end("episode")):
        if change is not None:
            await change
        assert all(1000 < ttl <= TTL * 1000 for ttl in await left())


async def test_an_expired_episode_is_gone_and_its_name_begins_afresh(
    store: EpisodeStore, client: "redis.asyncio.Redis"
) -> None:
    state = await with_steps(store, 3)
    await client.delete(episode_key("episode"))  # the hash expires a moment before the stream
    assert (await store.read("episode"))[0] is None
    outcome, _ = await commit(store, state, 3)
    assert outcome == Refused("NOT_FOUND", -1)
    outcome, _ = await commit(store, state_of(), 0, record(0, word=70))
    assert outcome == Committed()
    _, steps = await store.steps("episode", first=0, limit=10)
    assert [(step, found.words[0].row) for step, found in steps] == [(0, 70)]


async def test_of_two_writers_of_a_step_one_commits_and_both_learn_the_same(redis_url: str, store: EpisodeStore) -> None:
    clients = [connect_redis(redis_url, timeout=5) for _ in range(2)]
    writers = [EpisodeStore(client, ttl=TTL, retained=100) for client in clients]
    winners = set()
    state = state_of()
    for step in range(40):
        racers = [commit(writer, state, step, record(step, word=1000 + i)) for i, writer in enumerate(writers)]
        order = 1 if step % 2 else -1
        outcomes = (await asyncio.gather(*racers[::order]))[::order]
        [winner] = [i for i, (outcome, _) in enumerate(outcomes) if outcome == Committed()]
        lost, _ = outcomes[1 - winner]
        assert isinstance(lost, AlreadyCommitted)
        assert lost.step.words[0].row == 1000 + winner
        state = outcomes[winner][1]
        winners.add(winner)
    found, _ = await store.read("episode")
    assert found is not None
    assert (found.committed, found.length, found.history_digest) == (39, 80, state.history_digest)
    assert winners == {0, 1}, "both won sometimes, so there was a race"
    for client in clients:
        await client.aclose()


async def test_pages_find_every_episode_and_nothing_else(store: EpisodeStore, client: "redis.asyncio.Redis") -> None:
    names = {f"episode-{i}" for i in range(120)} | {"with:colon", "a.b_c-d"}
    for name in names:
        await with_steps(store, 1, name)
    await client.set("shelm:other", "1")
    cursor, found, pages = 0, [], 0
    while pages == 0 or cursor:
        cursor, states = await store.page(cursor, 20)
        page = [state.episode_id for state in states if isinstance(state, EpisodeState)]
        assert len(set(page)) == len(page)
        found += page
        pages += 1
        assert pages < 100
    assert set(found) == names
    assert pages > 1


async def test_steps_are_read_from_any_one_on(store: EpisodeStore) -> None:
    await with_steps(store, 5)
    state, steps = await store.steps("episode", first=2, limit=2)
    assert state is not None
    assert state.committed == 4
    assert [step for step, _ in steps] == [2, 3]
    assert (await store.steps("episode", first=5, limit=2))[1] == []
    assert await store.steps("nobody", first=0, limit=2) == (None, [])


@pytest.mark.parametrize("first", [0, 2])
async def test_waiting_for_a_step_ends_at_once_if_it_is_there_and_else_when_it_comes(
    store: EpisodeStore, first: int
) -> None:
    state = await with_steps(store, 3)
    async with asyncio.timeout(3):
        await store.wait_for_step("episode", first, seconds=30)
    waiting = asyncio.create_task(store.wait_for_step("episode", 3, seconds=30))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await commit(store, state, 3)
    async with asyncio.timeout(3):
        await waiting


async def test_waiting_for_a_step_ends_after_its_time(store: EpisodeStore) -> None:
    await with_steps(store, 1)
    async with asyncio.timeout(3):
        await store.wait_for_step("episode", 1, seconds=0.1)


async def test_a_store_that_is_away_says_so() -> None:
    client = connect_redis(f"redis://127.0.0.1:{free_port()}/0", timeout=0.5)
    store, reader = EpisodeStore(client, ttl=TTL, retained=RETAINED), HistoryReader(client)
    attempts = (
        commit(store, state_of(), 0),
        store.create(state_of()),
        store.end("episode"),
        store.read("episode"),
        store.steps("episode", first=0, limit=1),
        store.wait_for_step("episode", 0, seconds=0.1),
        store.page(0, 10),
        reader.last_words("episode", step=1, steps=1, digest=b""),
    )
    for attempt in attempts:
        with pytest.raises(ServiceError) as away:
            await attempt
        assert (away.value.code, away.value.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
        assert away.value.retry_after
        assert "127.0.0.1" not in away.value.message, "what the client library says is for the log"
    assert "ConnectionError" in str(await store.missing())
    await client.aclose()


@pytest.mark.parametrize("steps", [1, 3, 4])
async def test_the_last_words_of_a_history_are_read_in_their_order(
    store: EpisodeStore, client: "redis.asyncio.Redis", steps: int
) -> None:
    state = await with_steps(store, 4)
    words = await HistoryReader(client).last_words("episode", step=4, steps=steps, digest=state.history_digest)
    assert words == [0, 1, 10, 11, 20, 21, 30, 31][-2 * steps :]


async def test_words_of_an_earlier_moment_are_read_too(store: EpisodeStore, client: "redis.asyncio.Redis") -> None:
    """A retry of a step that was taken but not committed by this replica."""
    state = await with_steps(store, 2)
    await commit(store, state, 2)
    assert await HistoryReader(client).last_words("episode", step=2, steps=2, digest=state.history_digest) == [0, 1, 10, 11]


async def test_where_steps_have_fewer_words_those_before_them_are_read_until_there_are_enough(
    store: EpisodeStore, client: "redis.asyncio.Redis"
) -> None:
    state = state_of()
    for step, words in enumerate((2, 2, 0, 1, 2)):
        _, state = await commit(store, state, step, record(step, words=words))
    reader = HistoryReader(client)
    asked: dict[str, Any] = {"step": 5, "digest": state.history_digest}
    assert await reader.last_words("episode", steps=2, words=3, **asked) == [30, 40, 41]
    assert await reader.last_words("episode", steps=3, words=4, **asked) == [10, 11, 30, 40, 41]
    assert await reader.last_words("episode", steps=3, words=6, **asked) == [0, 1, 10, 11, 30, 40, 41]
    assert await reader.last_words("episode", steps=5, words=20, **asked) == [0, 1, 10, 11, 30, 40, 41]
    with pytest.raises(ServiceError, match="has no words"):
        await reader.last_words("episode", steps=3, **asked)


@pytest.mark.parametrize(
    ("name", "step", "steps"),
    [
        ("episode", 9, 5),  # the last of them is not committed
        ("episode", 7, 2),  # the digest is that of a later moment
        ("unknown", 1, 1),
    ],
)
async def test_a_history_that_is_not_the_one_asked_for_is_a_mismatch(
    store: EpisodeStore, client: "redis.asyncio.Redis", name: str, step: int, steps: int
) -> None:
    state = await with_steps(store, RETAINED + 3)
    await check_mismatch(client, name, step=step, steps=steps, digest=state.history_digest)


async def test_a_history_with_another_digest_is_a_mismatch(store: EpisodeStore, client: "redis.asyncio.Redis") -> None:
    await with_steps(store, 3)
    await check_mismatch(client, "episode", step=3, steps=3, digest=b"another history.")


async def check_mismatch(client: "redis.asyncio.Redis", name: str, **asked: Any) -> None:
    with pytest.raises(ServiceError) as refused:
        await HistoryReader(client).last_words(name, **asked)
    assert (refused.value.code, refused.value.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "HISTORY_MISMATCH")
