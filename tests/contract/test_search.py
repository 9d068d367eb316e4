"""Filters of ListEpisodes, SearchEpisodes and CompareOutcomes on running episodes and those that have just ended.

What the archive adds: test_life_cycle.py. Whose episodes are seen: test_tenants.py.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from shelm.shares import wilson
from shelm.v1 import agent_pb2
from support.errors import Code, refused
from support.frames import Frame
from support.gateway import Gateway, play

pb = agent_pb2
REWARDS = (1.0, 0.0, 0.5, None)  # of those that have ended, in turn


@dataclass(frozen=True)
class Played:
    """An episode, and the words of each of its steps."""

    episode: agent_pb2.Episode
    words: Sequence[set[str]]

    def saw(self, seen: agent_pb2.SeenWord) -> bool:
        last = seen.last_step if seen.HasField("last_step") else len(self.words)
        return any(seen.word in words for words in self.words[seen.first_step : last + 1])


def several(gateway: Gateway, name: str, frames: Sequence[Frame], count: int = 10) -> list[Played]:
    """Episodes whose names begin alike, most of which have ended."""
    made = []
    for number in range(count):
        one = f"{name}:{number}"
        play(gateway, one, frames[number : number + 2 + number % 4])
        if number % 5:
            reward = REWARDS[number % 4]
            gateway.end(one) if reward is None else gateway.end(one, total_reward=reward)
        words = [{token.text for token in step.tokens} for step in gateway.memory(one)]
        made.append(Played(gateway.episode(one), words))
    return made


def listed(gateway: Gateway, *, size: int = 3, order: int = 0, **fields: object) -> list[str]:
    """Names, of all pages."""
    found: list[str] = []
    request = pb.ListEpisodesRequest(page_size=size, order=order, filter=pb.EpisodeFilter(**fields))  # type: ignore[arg-type]
    while True:
        reply = gateway.call("ListEpisodes", request)
        assert len(reply.episodes) <= size
        found += [one.episode_id for one in reply.episodes]
        request.page_token = reply.next_page_token
        if not request.page_token:
            return found


def found(gateway: Gateway, request: agent_pb2.SearchEpisodesRequest) -> list[agent_pb2.FoundEpisode]:
    """All pages of a search."""
    episodes: list[agent_pb2.FoundEpisode] = []
    while True:
        reply = gateway.call("SearchEpisodes", request)
        episodes += reply.episodes
        request.page_token = reply.next_page_token
        if not request.page_token:
            return episodes


def test_a_filtered_list_holds_the_episodes_that_agree_in_order(
    gateway: Gateway, name: str, frames: Sequence[Frame]
) -> None:
    made = [one.episode for one in several(gateway, name, frames)]
    oldest = [one.episode_id for one in made]
    third, last = Timestamp(), Timestamp()
    third.CopyFrom(made[3].create_time)
    last.CopyFrom(made[7].create_time)
    agent = gateway.agent()

    def meant(keep: Callable[[agent_pb2.Episode], object]) -> list[str]:
        return [one.episode_id for one in reversed(made) if keep(one)]

    assert listed(gateway, name_prefix=name) == meant(lambda one: True)
    assert listed(gateway, name_prefix=name, order=pb.EPISODE_ORDER_OLDEST) == oldest
    assert listed(gateway, name_prefix=name, size=100, order=pb.EPISODE_ORDER_NEWEST) == oldest[::-1]
    for fields, keep in (
        ({"state": pb.EPISODE_STATE_RUNNING}, lambda one: not one.ended),
        ({"state": pb.EPISODE_STATE_ENDED}, lambda one: one.ended),
        ({"agent": agent.name}, lambda one: True),
        ({"agent": agent.digest[:12]}, lambda one: True),
        ({"agent": "another"}, lambda one: False),
        ({"created": pb.TimeRange(since=third, until=last)}, lambda one: one.episode_id in oldest[3:7]),
        ({"updated": pb.TimeRange(until=made[3].update_time)}, lambda one: one.episode_id in oldest[:3]),
        ({"reward": pb.RewardRange(least=0.5)}, lambda one: one.total_reward >= 0.5),
        ({"reward": pb.RewardRange(most=0.0)}, lambda one: one.HasField("total_reward") and one.total_reward <= 0),
        ({"outcome": pb.EPISODE_OUTCOME_SUCCEEDED}, lambda one: one.total_reward > 0),
        ({"outcome": pb.EPISODE_OUTCOME_FAILED}, lambda one: one.HasField("total_reward") and one.total_reward <= 0),
        ({"outcome": pb.EPISODE_OUTCOME_SUCCEEDED, "success_above": 0.5}, lambda one: one.total_reward > 0.5),
    ):
        assert listed(gateway, name_prefix=name, **fields) == meant(keep), fields


def test_a_search_finds_what_reading_every_memory_finds(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    made = several(gateway, name, frames)
    vocabulary = sorted({word for one in made for words in one.words for word in words})
    choose, hits = random.Random(3), 0

    def word() -> agent_pb2.SeenWord:
        seen = pb.SeenWord(word=choose.choice([*vocabulary, "no such word"]))
        if choose.random() < 0.5:
            seen.first_step = choose.randrange(3)
        if choose.random() < 0.5:
            seen.last_step = seen.first_step + choose.randrange(3)
        return seen

    for _ in range(25):
        request = pb.SearchEpisodesRequest(
            filter=pb.EpisodeFilter(name_prefix=name),
            saw=[word() for _ in range(choose.randrange(3))],
            not_saw=[word() for _ in range(choose.randrange(2))],
            page_size=4,
        )
        meant = [one for one in reversed(made) if all(map(one.saw, request.saw)) and not any(map(one.saw, request.not_saw))]
        answered = found(gateway, request)
        assert [one.episode.episode_id for one in answered] == [one.episode.episode_id for one in meant], request
        for one, played in zip(answered, meant, strict=True):
            for seen, step in zip(request.saw, one.seen_steps, strict=True):
                first = next(i for i in range(seen.first_step, len(played.words)) if seen.word in played.words[i])
                assert step == first
        hits += bool(meant)
    assert hits > 5


def test_a_comparison_counts_the_episodes_of_each_outcome(gateway: Gateway, name: str, frames: Sequence[Frame]) -> None:
    made = [one for one in several(gateway, name, frames) if one.episode.HasField("total_reward")]
    request = pb.CompareOutcomesRequest(filter=pb.EpisodeFilter(name_prefix=name), limit=1000)
    reply = gateway.call("CompareOutcomes", request)
    good = [one for one in made if one.episode.total_reward > 0]
    bad = [one for one in made if one not in good]
    assert (reply.succeeded, reply.failed, reply.partial) == (len(good), len(bad), False)
    for one in reply.words:
        for share, group in ((one.of_succeeded, good), (one.of_failed, bad)):
            count = sum(any(one.word in words for words in played.words) for played in group)
            assert (share.count, share.total) == (count, len(group))
            assert (share.low, share.high) == pytest.approx(wilson(count / len(group), len(group)))
    assert {one.word for one in reply.words} == {word for one in made for words in one.words for word in words}
    for pair in reply.transitions:
        count = sum(
            any(pair.word in a and pair.next_word in b for a, b in zip(one.words, one.words[1:], strict=False))
            for one in good
        )
        assert pair.of_succeeded.count == count


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"filter": {"state": 9}}, "filter.state"),
        ({"filter": {"outcome": 9}}, "filter.outcome"),
        ({"filter": {"success_above": float("nan")}}, "filter.success_above"),
        ({"filter": {"reward": {"least": float("nan")}}}, "filter.reward.least"),
        ({"filter": {"name_prefix": "a" * 201}}, "filter.name_prefix"),
        ({"filter": {"agent": "a" * 201}}, "filter.agent"),
        ({"filter": {"created": {"since": {"seconds": 2**50}}}}, "filter.created.since"),
        ({"saw": [{"word": ""}]}, "saw[0].word"),
        ({"saw": [{"word": "a"}, {"word": "b", "first_step": 4, "last_step": 3}]}, "saw[1].last_step"),
        ({"not_saw": [{"word": "a", "first_step": 2**60}]}, "not_saw[0].first_step"),
        ({"saw": [{"word": "a"}] * 17}, "saw"),
        ({"page_size": 1001}, "page_size"),
        ({"page_token": "17"}, "page_token"),
        ({"page_token": "17:name"}, "page_token"),
        ({"page_token": "x17:name/-"}, "page_token"),
        ({"page_token": "17:name with blanks/"}, "page_token"),
        ({"page_token": "-/17:"}, "page_token"),
    ],
)
def test_a_search_that_cannot_be_meant_names_the_field(gateway: Gateway, fields: dict[str, object], field: str) -> None:
    refusal = refused(lambda: gateway.call("SearchEpisodes", pb.SearchEpisodesRequest(**fields)))  # type: ignore[arg-type]
    assert (refusal.kind, list(refusal.fields)) == ((Code.INVALID_ARGUMENT, "INVALID_FIELD"), [field])


def test_an_unknown_order_and_a_token_of_another_order_are_refused(gateway: Gateway) -> None:
    for request, field in (
        (pb.ListEpisodesRequest(order=7), "order"),  # type: ignore[arg-type]
        (pb.ListEpisodesRequest(order=pb.EPISODE_ORDER_OLDEST, page_token="17"), "page_token"),
        (pb.ListEpisodesRequest(page_token="17:name"), "page_token"),
    ):
        assert list(refused(lambda request=request: gateway.call("ListEpisodes", request)).fields) == [field]  # type: ignore[misc]
