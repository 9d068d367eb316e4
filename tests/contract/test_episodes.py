"""Creating, ending, listing and reading episodes, and the memory in words, page by page and live."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from shelm.v1 import agent_pb2
from support.door import Door, lines, play
from support.frames import Frame
from support.refusals import Code, refused


def test_creating_an_episode_again_with_the_same_values_returns_it(door: Door, name: str, frames: Sequence[Frame]) -> None:
    episode = door.create(name, seed=7, deterministic=True)
    agent = door.agent()
    assert (episode.episode_id, episode.agent, episode.agent_digest) == (name, agent.name, agent.digest)
    assert (episode.seed, episode.deterministic, episode.ended, episode.memory_length) == (7, True, False, 0)
    assert not episode.HasField("committed_step")
    door.act(name, 0, frames[0])
    again = door.create(name, seed=7, deterministic=True)
    assert (again.committed_step, again.create_time) == (0, episode.create_time)
    for same in (agent.name, agent.digest):
        assert door.create(name, seed=7, deterministic=True, agent=same).create_time == episode.create_time


@pytest.mark.parametrize("other", [{"seed": 8}, {"seed": 7, "deterministic": True}, {}])
def test_creating_an_episode_again_with_other_values_is_already_exists(door: Door, name: str, other: dict[str, Any]) -> None:
    episode = door.create(name, seed=7)
    assert refused(lambda: door.create(name, **other)).kind == (Code.ALREADY_EXISTS, "EPISODE_EXISTS")
    assert (door.episode(name).seed, door.episode(name).create_time) == (7, episode.create_time)


def test_the_largest_seed_is_kept_and_draws_actions(door: Door, name: str, frames: Sequence[Frame]) -> None:
    seed = 2**63 - 1
    assert door.create(name, seed=seed).seed == seed
    door.act(name, 0, frames[0])
    assert door.episode(name).seed == seed


def test_a_seed_of_its_own_is_the_same_for_the_same_name_and_not_for_another(door: Door, name: str) -> None:
    assert door.create(name).seed == door.create(name).seed
    assert door.create(f"{name}:b").seed != door.create(name).seed


def test_ending_an_episode_again_changes_nothing_and_its_memory_stays(
    door: Door, name: str, frames: Sequence[Frame]
) -> None:
    answers = play(door, name, frames[:3])
    ended = door.end(name)
    assert (ended.ended, ended.committed_step) == (True, 2)
    again = door.end(name)
    assert (again.ended, again.update_time) == (True, ended.update_time)
    assert lines(door.memory(name)) == lines(answers)


@pytest.mark.parametrize("reward", [0.0, -1.5, 0.1, 1e300, 5e-324])
def test_the_total_reward_that_is_told_first_stays(door: Door, name: str, reward: float) -> None:
    door.create(name)
    assert not door.episode(name).HasField("total_reward")
    assert door.end(name, total_reward=reward).total_reward == reward
    for again in ({}, {"total_reward": 7.0}, {"total_reward": reward}):
        ended = door.end(name, **again)
        assert (ended.HasField("total_reward"), ended.total_reward) == (True, reward)
    assert door.episode(name).total_reward == reward
    assert door.episode(name).HasField("total_reward")
    assert in_the_list(door, name).total_reward == reward


def test_a_reward_may_be_told_after_the_end(door: Door, name: str) -> None:
    door.create(name)
    ended = door.end(name)
    assert not ended.HasField("total_reward")
    told = door.end(name, total_reward=2.5)
    assert (told.total_reward, told.update_time) == (2.5, ended.update_time)


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), float("-inf")])
def test_a_reward_that_is_no_finite_number_is_refused_and_nothing_ends(door: Door, name: str, reward: float) -> None:
    door.create(name)
    refusal = refused(lambda: door.end(name, total_reward=reward))
    assert (refusal.code, list(refusal.fields)) == (Code.INVALID_ARGUMENT, ["total_reward"])
    assert not door.episode(name).ended


def test_an_episode_is_described_as_it_is(door: Door, name: str, frames: Sequence[Frame]) -> None:
    began = time.time()
    play(door, name, frames[:4], seed=11)
    episode = door.episode(name)
    assert (episode.committed_step, episode.memory_length, episode.seed) == (3, 4 * door.agent().tokens_per_step, 11)
    times = [one.ToMicroseconds() / 1e6 for one in (episode.create_time, episode.update_time, episode.expire_time)]
    assert times == sorted(times)
    assert began - 1 < times[0] <= times[1] < time.time() + 1
    assert times[2] > time.time() + 3600  # the default is a day


def test_episodes_with_every_allowed_character_are_found_by_their_names(door: Door, name: str) -> None:
    names = [f"{name}:Az09._:-", f"{name}{'x' * (128 - len(name))}"]
    for one in names:
        door.create(one)
        assert door.episode(one).episode_id == one
    assert set(names) <= set(listed(door, 1000))


@pytest.mark.parametrize("page_size", [1, 7, 0])
def test_all_episodes_are_found_across_pages(door: Door, name: str, page_size: int) -> None:
    names = {f"{name}:{i}" for i in range(30)}
    for one in names:
        door.create(one)
    found = listed(door, page_size)
    assert names <= set(found)


def in_the_list(door: Door, name: str) -> agent_pb2.Episode:
    """One episode as ListEpisodes has it."""
    token = ""
    while True:
        reply = door.call("ListEpisodes", agent_pb2.ListEpisodesRequest(page_size=1000, page_token=token))
        found: list[agent_pb2.Episode] = [one for one in reply.episodes if one.episode_id == name]
        if found:
            return found[0]
        token = reply.next_page_token
        assert token, f"{name} is not listed"


def listed(door: Door, page_size: int) -> list[str]:
    """The names of all episodes, page by page; no page holds one twice."""
    names: list[str] = []
    token = ""
    for _ in range(10_000):
        page = door.call("ListEpisodes", agent_pb2.ListEpisodesRequest(page_size=page_size, page_token=token))
        here = [episode.episode_id for episode in page.episodes]
        assert len(set(here)) == len(here)
        names += here
        token = page.next_page_token
        if not token:
            return names
    raise AssertionError("the pages do not end")


def test_the_memory_is_read_page_by_page(door: Door, name: str, frames: Sequence[Frame]) -> None:
    answers = play(door, name, frames[:9])
    assert lines(door.memory(name)) == lines(answers)
    assert [one.step for one in door.memory(name, from_step=2, limit=3)] == [2, 3, 4]
    assert [one.step for one in door.memory(name, from_step=7, limit=0)] == [7, 8]
    assert door.memory(name, from_step=9) == []
    times = [one.time.ToMicroseconds() for one in door.memory(name)]
    assert times == sorted(times)
    assert [one.value for one in door.memory(name)] == [one.value for one in answers]


def test_the_words_that_attention_still_reaches_are_marked(door: Door, name: str, frames: Sequence[Frame]) -> None:
    agent = door.agent()
    steps = agent.window // agent.tokens_per_step + 8
    play(door, name, [frames[step % len(frames)] for step in range(steps)])
    marks = [one.in_window for one in door.memory(name)]
    # The next word sees itself and window - 1 words before it.
    reached = -(-(agent.window - 1) // agent.tokens_per_step)
    assert marks == [False] * (steps - reached) + [True] * reached


def test_a_watcher_gets_the_words_that_were_and_those_that_come_and_the_end(
    door: Door, name: str, frames: Sequence[Frame]
) -> None:
    play(door, name, frames[:3])
    watcher = door.watch(name, from_step=1)
    seen = [next(watcher).step for _ in range(2)]
    for step in range(3, 6):
        sent = time.monotonic()
        door.act(name, step, frames[step])
        seen.append(next(watcher).step)
        assert time.monotonic() - sent < 3  # live; idle machines need milliseconds
    door.end(name)
    assert list(watcher) == []
    assert [one.step for one in seen] == [1, 2, 3, 4, 5]
    assert lines(seen) == lines(door.memory(name, from_step=1))


def test_watchers_of_one_episode_each_get_every_step(door: Door, name: str, frames: Sequence[Frame]) -> None:
    door.create(name)
    seen: list[list[int]] = [[], [], []]

    def watch(watcher: int) -> None:
        seen[watcher].extend(one.step.step for one in door.watch(name))

    watchers = [threading.Thread(target=watch, args=[i]) for i in range(3)]
    for watcher in watchers:
        watcher.start()
    for step, frame in enumerate(frames[:10]):
        door.act(name, step, frame)
    door.end(name)
    for watcher in watchers:
        watcher.join(30)
    assert seen == [list(range(10))] * 3


def test_watching_an_ended_episode_gives_its_words_and_ends(door: Door, name: str, frames: Sequence[Frame]) -> None:
    answers = play(door, name, frames[:4])
    door.end(name)
    assert lines(one.step for one in door.watch(name)) == lines(answers)
    assert list(door.watch(name, from_step=4)) == []


def test_an_agent_is_found_by_name_by_digest_and_as_the_default(door: Door) -> None:
    agent = door.agent()
    assert door.agent(agent.name) == door.agent(agent.digest) == agent
    assert agent.default
    assert (agent.observation.height, agent.observation.width) == (56, 56)
    assert len(agent.action_space.names) == agent.action_space.discrete > 0
    assert len(bytes.fromhex(agent.digest)) == 32
    assert agent.window > agent.tokens_per_step > 0
    assert agent.vocabulary_size > 0
    assert agent.environments


def test_the_default_agent_is_listed_first(door: Door) -> None:
    agents = door.call("ListAgents", agent_pb2.ListAgentsRequest()).agents
    assert agents[0] == door.agent()
    assert [agent.default for agent in agents] == [True] + [False] * (len(agents) - 1)
