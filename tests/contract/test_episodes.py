"""Creating, ending, listing and reading episodes, and the memory in words, page by page and live."""

import json
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from shelm.v1 import agent_pb2
from support.errors import Code, refused
from support.frames import Frame
from support.gateway import Gateway, lines, play
from support.process import REPOSITORY


def test_creating_an_episode_again_with_the_same_values_returns_it(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    episode = gateway.create(name, seed=7, deterministic=True)
    agent = gateway.agent()
    assert (episode.episode_id, episode.agent, episode.agent_digest) == (name, agent.name, agent.digest)
    assert (episode.seed, episode.deterministic, episode.ended, episode.memory_length) == (7, True, False, 0)
    assert not episode.HasField("committed_step")
    gateway.act(name, 0, frames[0])
    again = gateway.create(name, seed=7, deterministic=True)
    assert (again.committed_step, again.create_time) == (0, episode.create_time)
    for same in (agent.name, agent.digest):
        assert gateway.create(name, seed=7, deterministic=True, agent=same).create_time == episode.create_time


@pytest.mark.parametrize("other", [{"seed": 8}, {"seed": 7, "deterministic": True}, {}])
def test_creating_an_episode_again_with_other_values_is_already_exists(
    gateway: Gateway, name: str, other: dict[str, Any]
) -> None:
    episode = gateway.create(name, seed=7)
    assert refused(lambda: gateway.create(name, **other)).kind == (Code.ALREADY_EXISTS, "EPISODE_EXISTS")
    assert (gateway.episode(name).seed, gateway.episode(name).create_time) == (7, episode.create_time)


def test_the_largest_seed_is_kept_and_draws_actions(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    seed = 2**63 - 1
    assert gateway.create(name, seed=seed).seed == seed
    gateway.act(name, 0, frames[0])
    assert gateway.episode(name).seed == seed


def test_a_seed_of_its_own_is_the_same_for_the_same_name_and_not_for_another(gateway: Gateway, name: str) -> None:
    assert gateway.create(name).seed == gateway.create(name).seed
    assert gateway.create(f"{name}:b").seed != gateway.create(name).seed


def test_ending_an_episode_again_changes_nothing_and_its_memory_stays(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    answers = play(gateway, name, frames[:3])
    ended = gateway.end(name)
    assert (ended.ended, ended.committed_step) == (True, 2)
    again = gateway.end(name)
    assert (again.ended, again.update_time) == (True, ended.update_time)
    assert lines(gateway.memory(name)) == lines(answers)


@pytest.mark.parametrize("reward", [0.0, -1.5, 0.1, 1e300, 5e-324])
def test_the_total_reward_that_is_told_first_stays(gateway: Gateway, name: str, reward: float) -> None:
    gateway.create(name)
    assert not gateway.episode(name).HasField("total_reward")
    assert gateway.end(name, total_reward=reward).total_reward == reward
    for again in ({}, {"total_reward": 7.0}, {"total_reward": reward}):
        ended = gateway.end(name, **again)
        assert (ended.HasField("total_reward"), ended.total_reward) == (True, reward)
    assert gateway.episode(name).total_reward == reward
    assert gateway.episode(name).HasField("total_reward")
    assert in_the_list(gateway, name).total_reward == reward


def test_a_reward_may_be_told_after_the_end(gateway: Gateway, name: str) -> None:
    gateway.create(name)
    ended = gateway.end(name)
    assert not ended.HasField("total_reward")
    told = gateway.end(name, total_reward=2.5)
    assert (told.total_reward, told.update_time) == (2.5, ended.update_time)


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), float("-inf")])
def test_a_reward_that_is_no_finite_number_is_refused_and_nothing_ends(gateway: Gateway, name: str, reward: float) -> None:
    gateway.create(name)
    refusal = refused(lambda: gateway.end(name, total_reward=reward))
    assert (refusal.code, list(refusal.fields)) == (Code.INVALID_ARGUMENT, ["total_reward"])
    assert not gateway.episode(name).ended


def test_an_episode_is_described_as_it_is(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    began = time.time()
    play(gateway, name, frames[:4], seed=11)
    episode = gateway.episode(name)
    assert (episode.committed_step, episode.memory_length, episode.seed) == (3, 4 * gateway.agent().tokens_per_step, 11)
    times = [one.ToMicroseconds() / 1e6 for one in (episode.create_time, episode.update_time, episode.expire_time)]
    assert times == sorted(times)
    assert began - 1 < times[0] <= times[1] < time.time() + 1
    assert times[2] > time.time() + 3600  # the default is a day


def test_episodes_with_every_allowed_character_are_found_by_their_names(gateway: Gateway, name: str) -> None:
    names = [f"{name}:Az09._:-", f"{name}{'x' * (128 - len(name))}"]
    for one in names:
        gateway.create(one)
        assert gateway.episode(one).episode_id == one
    assert set(names) <= set(listed(gateway, 1000))


@pytest.mark.parametrize("page_size", [1, 7, 0])
def test_all_episodes_are_found_across_pages(gateway: Gateway, name: str, page_size: int) -> None:
    names = {f"{name}:{i}" for i in range(30)}
    for one in names:
        gateway.create(one)
    found = listed(gateway, page_size)
    assert names <= set(found)


def in_the_list(gateway: Gateway, name: str) -> agent_pb2.Episode:
    """One episode as ListEpisodes has it."""
    token = ""
    while True:
        reply = gateway.call("ListEpisodes", agent_pb2.ListEpisodesRequest(page_size=1000, page_token=token))
        found: list[agent_pb2.Episode] = [one for one in reply.episodes if one.episode_id == name]
        if found:
            return found[0]
        token = reply.next_page_token
        assert token, f"{name} is not listed"


def listed(gateway: Gateway, page_size: int) -> list[str]:
    """The names of all episodes, page by page; no page holds one twice."""
    names: list[str] = []
    token = ""
    for _ in range(10_000):
        page = gateway.call("ListEpisodes", agent_pb2.ListEpisodesRequest(page_size=page_size, page_token=token))
        here = [episode.episode_id for episode in page.episodes]
        assert len(set(here)) == len(here)
        names += here
        token = page.next_page_token
        if not token:
            return names
    raise AssertionError("the pages do not end")


def test_the_memory_is_read_page_by_page(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    answers = play(gateway, name, frames[:9])
    assert lines(gateway.memory(name)) == lines(answers)
    assert [one.step for one in gateway.memory(name, from_step=2, limit=3)] == [2, 3, 4]
    assert [one.step for one in gateway.memory(name, from_step=7, limit=0)] == [7, 8]
    assert gateway.memory(name, from_step=9) == []
    times = [one.time.ToMicroseconds() for one in gateway.memory(name)]
    assert times == sorted(times)
    assert [one.value for one in gateway.memory(name)] == [one.value for one in answers]


def test_the_words_that_attention_still_reaches_are_marked(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    agent = gateway.agent()
    steps = agent.window // agent.tokens_per_step + 8
    play(gateway, name, [frames[step % len(frames)] for step in range(steps)])
    marks = [one.in_window for one in gateway.memory(name)]
    # The next word sees itself and window - 1 words before it.
    reached = -(-(agent.window - 1) // agent.tokens_per_step)
    assert marks == [False] * (steps - reached) + [True] * reached


def test_a_watcher_gets_the_words_that_were_and_those_that_come_and_the_end(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    play(gateway, name, frames[:3])
    watcher = gateway.watch(name, from_step=1)
    seen = [next(watcher).step for _ in range(2)]
    for step in range(3, 6):
        sent = time.monotonic()
        gateway.act(name, step, frames[step])
        seen.append(next(watcher).step)
        assert time.monotonic() - sent < 3  # live; idle machines need milliseconds
    gateway.end(name)
    assert list(watcher) == []
    assert [one.step for one in seen] == [1, 2, 3, 4, 5]
    assert lines(seen) == lines(gateway.memory(name, from_step=1))


def test_watchers_of_one_episode_each_get_every_step(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    gateway.create(name)
    seen: list[list[int]] = [[], [], []]

    def watch(watcher: int) -> None:
        seen[watcher].extend(one.step.step for one in gateway.watch(name))

    watchers = [threading.Thread(target=watch, args=[i]) for i in range(3)]
    for watcher in watchers:
        watcher.start()
    for step, frame in enumerate(frames[:10]):
        gateway.act(name, step, frame)
    gateway.end(name)
    for watcher in watchers:
        watcher.join(30)
    assert seen == [list(range(10))] * 3


def test_a_watcher_who_asks_for_signs_of_life_gets_one_where_it_begins_to_wait(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    gateway.act(name, 0, frames[0])
    watcher = gateway.watch(name, signs=True)
    first, sign = next(watcher), next(watcher)
    assert (first.HasField("step"), sign.HasField("step")) == (True, False)
    assert sign.incarnation == first.incarnation
    gateway.act(name, 1, frames[1])
    assert next(watcher).step.step == 1
    gateway.end(name)
    assert not any(one.HasField("step") for one in watcher)


def test_watching_an_ended_episode_gives_its_words_and_ends(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    answers = play(gateway, name, frames[:4])
    gateway.end(name)
    assert lines(one.step for one in gateway.watch(name)) == lines(answers)
    assert list(gateway.watch(name, from_step=4)) == []


def test_an_agent_is_found_by_name_by_digest_and_as_the_default(gateway: Gateway) -> None:
    agent = gateway.agent()
    assert gateway.agent(agent.name) == gateway.agent(agent.digest) == agent
    assert agent.default
    assert (agent.observation.height, agent.observation.width) == (56, 56)
    assert len(agent.action_space.names) == agent.action_space.discrete > 0
    assert len(bytes.fromhex(agent.digest)) == 32
    assert agent.window > agent.tokens_per_step > 0
    assert agent.vocabulary_size > 0
    assert agent.environments


def test_an_agents_card_vocabulary_and_language_model_are_told_to_who_asks(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    assert not gateway.call("GetAgent", agent_pb2.GetAgentRequest()).HasField("details")
    found = gateway.call("GetAgent", agent_pb2.GetAgentRequest(details=True))
    assert found.agent == gateway.agent()
    details = found.details
    assert len(details.vocabulary) == found.agent.vocabulary_size
    tokens = [token for answer in play(gateway, name, frames[:3]) for token in answer.tokens]
    assert [details.vocabulary[token.id] for token in tokens] == [token.text for token in tokens]
    manifest = json.loads((REPOSITORY / "models" / found.agent.name / "agent.json").read_text())
    model = details.language_model
    told = {"kind": model.kind, "source": model.source, "layers": model.layers, "dimension": model.dimension}
    assert told.items() <= manifest["memory"].items()
    assert details.card == (REPOSITORY / "models" / found.agent.name / "README.md").read_text()


def test_the_default_agent_is_listed_first(gateway: Gateway) -> None:
    agents = gateway.call("ListAgents", agent_pb2.ListAgentsRequest()).agents
    assert agents[0] == gateway.agent()
    assert [agent.default for agent in agents] == [True] + [False] * (len(agents) - 1)
