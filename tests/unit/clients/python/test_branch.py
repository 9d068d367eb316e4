"""Branches as the client makes and continues them."""

from typing import Any

import numpy as np
import pytest
from shelm import Branch, Client, Remove, Swap, errors
from shelm.v1 import agent_pb2
from support.stand_in import StandIn


def frame(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.full((4, 5, 3), number, np.uint8)


@pytest.fixture
def source(client: Client) -> str:
    for number in range(5):
        client.act(frame(number), "source")
    return "source"


def test_the_next_act_is_the_first_own_step(client: Client, stand_in: StandIn, source: str) -> None:
    info = client.branch_episode("branch", source, 3, [Swap("key", "ball"), Remove(step=1)], seed=4, deterministic=True)
    assert info.branch == Branch(source, "", 3, (Swap("key", "ball"), Remove(step=1)))
    sent = stand_in.requests["BranchEpisode"][0]
    assert (sent.source_episode_id, sent.step, sent.seed, sent.deterministic) == (source, 3, 4, True)
    assert client.act(frame(9), "branch").step == 3
    assert not stand_in.requests["Act"][-1].agent
    client.branch_episode("branch", source, 3)
    assert not stand_in.requests["BranchEpisode"][1].HasField("seed")
    assert client.act(frame(10), "branch").step == 4, "an existing branch goes on where it is"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [((3, "source", 1), "episode_id"), (("branch", 3, 1), "source"), (("branch", "source", -1), "step")],
)
def test_a_request_that_cannot_be_is_refused_by_name(
    client: Client, stand_in: StandIn, arguments: tuple[Any, ...], field: str
) -> None:
    with pytest.raises(errors.InvalidArgument, match=f"^{field}: expected"):
        client.branch_episode(*arguments)
    assert not stand_in.requests


def test_an_episode_that_is_no_branch_has_none(client: Client, source: str) -> None:
    assert client.get_episode(source).branch is None
    assert agent_pb2.Episode().HasField("branch") is False
