"""What if: edits as messages, and what the server tells of each memory."""

from typing import Any

import numpy as np
import pytest
from shelm import Alternative, Client, Insert, Remove, Replace, Swap, errors
from shelm.convert import act_from, what_if_from
from shelm.edit_messages import edit_from, edit_messages
from shelm.edits import Edit
from shelm.v1 import agent_pb2
from support.stand_in import StandIn


def frame(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.full((4, 5, 3), number, np.uint8)


@pytest.fixture
def episode(client: Client) -> str:
    for number in range(3):
        client.act(frame(number), "a")
    return "a"


def test_an_answer_carries_everything_the_server_says(client: Client, stand_in: StandIn, episode: str) -> None:
    told = client.what_if(episode, 2, [Swap("doorway", "wall")], frame(2))
    assert (told.step, told.action, told.reach_from_step) == (2, 2, 0)
    assert told.actual.distribution.probabilities == (0.0, 0.125, 0.875)
    assert (told.actual.distribution.entropy, told.actual.change, told.actual.most_probable) == (0.5, None, 2)
    assert {step: tokens[0].text for step, tokens in told.actual.words.items()} == {0: "doorway", 1: "corridor", 2: "wall"}
    (other,) = told.alternatives
    assert (other.change, other.value, other.most_probable, list(other.words)) == (0.75, 0.5, 0, [0])
    assert stand_in.requests["WhatIf"][0].observation.data == frame(2).tobytes()


def test_an_alternative_is_an_edit_a_list_or_names_an_agent(client: Client, stand_in: StandIn, episode: str) -> None:
    edits: list[Edit] = [
        Remove("key", 0),
        Remove(step=1),
        Replace("a", "b"),
        Replace("a", "b", 0),
        Insert("a", 0),
        Swap("a", "b"),
    ]
    client.what_if(episode, 2, [Remove("key"), edits, Alternative(edits[:1], agent="other"), Alternative(), []])
    sent = stand_in.requests["WhatIf"][0]
    assert not sent.HasField("observation")
    assert [len(one.edits) for one in sent.alternatives] == [1, 6, 1, 0, 0]
    assert [one.agent for one in sent.alternatives] == ["", "", "other", "", ""]
    assert [edit_from(one) for one in sent.alternatives[1].edits] == edits
    assert edit_from(sent.alternatives[0].edits[0]) == Remove("key")


@pytest.mark.parametrize("edit", ["key", 3, None, Remove(7), Remove("key", -1), Insert("key", 2**64), Swap("a", None)])  # type: ignore[arg-type]
def test_what_is_no_edit_is_refused_before_anything_is_sent(client: Client, stand_in: StandIn, edit: Any) -> None:
    with pytest.raises(errors.InvalidArgument, match="edits: expected"):
        client.what_if("a", 0, [[edit]])
    assert not stand_in.requests
    with pytest.raises(errors.InvalidArgument):
        edit_messages([edit])


def test_distributions_of_continuous_and_dict_actions() -> None:
    normal = agent_pb2.ActionDistribution(normal=agent_pb2.NormalDistribution(mean=[0.5], deviation=[0.25]), entropy=-0.5)
    part = agent_pb2.NamedDistribution(name="move", distribution=normal)
    whole = agent_pb2.ActionDistribution(dict=agent_pb2.DictDistribution(parts=[part]), entropy=-0.5)
    action = agent_pb2.Action(dict=agent_pb2.DictAction(parts=[agent_pb2.NamedAction(name="move")]))
    outcome = agent_pb2.Outcome(distribution=whole, most_probable=action)
    found = what_if_from(agent_pb2.WhatIfResponse(action=action, actual=outcome)).actual.distribution
    assert (found.entropy, found.probabilities, found.parts["move"].mean) == (-0.5, (), (0.5,))
    assert (found.parts["move"].deviation, found.parts["move"].entropy) == ((0.25,), -0.5)


def test_an_act_asks_for_the_distribution_where_its_caller_does(client: Client, stand_in: StandIn) -> None:
    assert client.act(frame(0), "a").distribution is None
    client.act(frame(1), "a", distribution=True)
    client.act_batch({"a": frame(2)}, distribution=True)
    assert [one.distribution for one in stand_in.requests["Act"]] == [False, True]
    assert stand_in.requests["ActBatch"][0].requests[0].distribution
    with client.episode("b") as episode:
        episode.act(frame(0), distribution=True)
    assert stand_in.requests["Act"][-1].distribution
    answer = agent_pb2.ActResponse(distribution=agent_pb2.ActionDistribution(entropy=0.25))
    told = act_from(answer).distribution
    assert told is not None
    assert told.entropy == 0.25
