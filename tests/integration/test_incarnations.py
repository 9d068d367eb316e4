"""A name may have several lives: what was computed or cached for one never counts for another."""

from dataclasses import replace
from typing import Any

import pytest
from support.stored import AGENT, TTL, commit, record, state_of, with_steps

from services.store.episodes import Committed, EpisodeStore, Refused, new_episode
from services.store.keys import episode_key, history_key


@pytest.fixture
def store(client: Any) -> EpisodeStore:
    return EpisodeStore(client, ttl=TTL, retained=100)


async def expire(client: Any, name: str = "episode") -> None:
    await client.delete(episode_key(name), history_key(name))


def test_every_new_episode_has_an_incarnation_of_its_own() -> None:
    assert len({new_episode("episode", agent="tiny", agent_digest=AGENT).incarnation for _ in range(1000)}) == 1000


async def test_the_first_incarnation_is_stored_and_read_by_every_call(store: EpisodeStore) -> None:
    first = await store.create(state_of(incarnation="first"))
    again = await store.create(state_of(incarnation="second"))
    (known, _), (beside, _) = await store.read("episode"), await store.steps("episode", first=0, limit=1)
    ended = await store.end("episode")
    _, listed = await store.page(0, 10)
    assert known is not None
    assert beside is not None
    assert ended is not None
    assert {one.incarnation for one in (first, again, known, beside, ended[0], listed[0])} == {"first"}  # type: ignore[union-attr]


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4])
async def test_a_commit_for_an_earlier_life_changes_nothing_however_far_the_next_one_is(
    store: EpisodeStore, client: Any, steps: int
) -> None:
    """The same words, so the same history digests: nothing but the incarnation tells the lives apart."""
    earlier = await with_steps(store, 2)
    await expire(client)
    state = await store.create(state_of(incarnation="second"))
    for step in range(steps):
        _, state = await commit(store, state, step)
    before = await client.dump(episode_key("episode")), await client.dump(history_key("episode"))
    outcome, _ = await commit(store, earlier, 2)
    assert outcome == Refused("STALE", steps - 1)
    assert (await client.dump(episode_key("episode")), await client.dump(history_key("episode"))) == before


async def test_step_0_of_two_replicas_with_different_agents_makes_one_episode_with_the_agent_of_the_first(
    store: EpisodeStore,
) -> None:
    one = new_episode("episode", agent="one", agent_digest="1" * 64)
    other = new_episode("episode", agent="other", agent_digest="2" * 64)
    assert (await commit(store, one, 0))[0] == Committed()
    assert (await commit(store, other, 0, record(0, word=70)))[0] == Refused("STALE", 0)
    known, step = await store.read("episode", 0)
    assert known is not None
    assert step is not None
    assert (known.agent, known.incarnation, step.words[0].row) == ("one", one.incarnation, 0)


async def test_an_episode_that_an_earlier_version_began_goes_on_and_its_lives_are_told_apart(
    store: EpisodeStore, client: Any
) -> None:
    await with_steps(store, 2)
    await client.hdel(episode_key("episode"), "incarnation")
    old, _ = await store.read("episode")
    assert old is not None
    outcome, _ = await commit(store, old, 2)
    assert outcome == Committed()
    await client.hset(episode_key("episode"), "created_us", old.created_us + 1)  # another life, of an earlier version too
    known, _ = await store.read("episode")
    assert known is not None
    outcome, _ = await commit(store, replace(known, incarnation=old.incarnation), 3)
    assert outcome == Refused("STALE", 2)
    outcome, _ = await commit(store, known, 3)
    assert outcome == Committed()
