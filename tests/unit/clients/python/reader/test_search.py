"""Filters, searches and comparisons: what is sent, and what is made of the answers."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from shelm import Client, EpisodeFilter, Seen, Share, errors
from shelm.filter_messages import filter_message
from shelm.v1 import agent_pb2
from support.stand_in import StandIn

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def five(client: Client) -> list[str]:
    for name in "abcde":
        client.act(np.zeros((4, 5, 3), np.uint8), name)
    return list("abcde")


def test_a_filter_sends_what_is_set_and_nothing_else() -> None:
    assert filter_message(EpisodeFilter()) == agent_pb2.EpisodeFilter(success_above=0.0)
    east = timezone(timedelta(hours=2))
    sent = filter_message(
        EpisodeFilter(
            agent="minigrid",
            ended=True,
            created_since=NOON.astimezone(east),
            created_until=datetime(2026, 5, 2, 12),
            updated_until=NOON,
            reward_least=0.0,
            name_prefix="run",
            succeeded=False,
            success_above=0.5,
        )
    )
    assert (sent.agent, sent.name_prefix, sent.success_above) == ("minigrid", "run", 0.5)
    assert (sent.state, sent.outcome) == (agent_pb2.EPISODE_STATE_ENDED, agent_pb2.EPISODE_OUTCOME_FAILED)
    assert sent.created.since.ToDatetime() == sent.updated.until.ToDatetime() == datetime(2026, 5, 1, 12)
    assert sent.created.until.ToDatetime() == datetime(2026, 5, 2, 12)
    assert not sent.updated.HasField("since")
    assert (sent.reward.least, sent.reward.HasField("most")) == (0.0, False)
    assert filter_message(EpisodeFilter(ended=False)).state == agent_pb2.EPISODE_STATE_RUNNING


def test_a_list_without_filter_is_asked_for_as_ever_and_an_order_on_every_page(
    client: Client, stand_in: StandIn, five: list[str]
) -> None:
    assert [one.episode_id for one in client.list_episodes()] == five
    assert not any(one.HasField("filter") or one.order for one in stand_in.requests["ListEpisodes"])
    stand_in.requests["ListEpisodes"].clear()
    assert len(list(client.list_episodes(where=EpisodeFilter(name_prefix="x"), order="oldest"))) == 5
    sent = stand_in.requests["ListEpisodes"]
    assert [(one.page_token, one.filter.name_prefix, one.order) for one in sent] == [
        (token, "x", agent_pb2.EPISODE_ORDER_OLDEST) for token in ("", "2", "4")
    ]
    with pytest.raises(errors.InvalidArgument, match="newest"):
        list(client.list_episodes(order="latest"))


def test_a_search_tells_each_episode_once_with_where_it_saw_the_words(
    client: Client, stand_in: StandIn, five: list[str]
) -> None:
    found = list(client.search_episodes(["a ball", Seen("a key", 2, 4)], not_saw=["a door"], where=EpisodeFilter(agent="x")))
    assert [one.episode.episode_id for one in found] == five  # although the stand-in has one on two pages
    assert {one.seen_steps for one in found} == {(3, 3)}
    sent = stand_in.requests["SearchEpisodes"][0]
    assert (sent.filter.agent, [one.word for one in sent.not_saw]) == ("x", ["a door"])
    assert [(one.word, one.first_step, one.HasField("last_step"), one.last_step) for one in sent.saw] == [
        ("a ball", 0, False, 0),
        ("a key", 2, True, 4),
    ]


def test_a_comparison_carries_everything_the_server_says(client: Client, stand_in: StandIn) -> None:
    told = client.compare_outcomes(["a ball"], limit=7)
    assert (told.succeeded, told.failed, told.partial) == (4, 0, True)
    assert (told.words[0].word, told.words[0].of_succeeded) == ("a ball", Share(3, 4, 0.25, 0.875))
    assert (told.transitions[0].next_word, told.transitions[0].of_failed) == ("a key", Share(0, 0, 0.0, 1.0))
    assert (stand_in.requests["CompareOutcomes"][0].limit, stand_in.requests["CompareOutcomes"][0].saw[0].word) == (
        7,
        "a ball",
    )


@pytest.mark.parametrize("saw", ["a ball", Seen("a"), [7], [Seen(7)], [Seen("a", -1)], [Seen("a", 0, 1.5)]])  # type: ignore[arg-type]
def test_what_is_no_list_of_words_is_refused_before_anything_is_sent(client: Client, stand_in: StandIn, saw: Any) -> None:
    with pytest.raises(errors.InvalidArgument, match="saw"):
        list(client.search_episodes(saw))
    assert not stand_in.requests
