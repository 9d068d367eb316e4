"""Actions and their spaces as messages: they keep every bit, and those of discrete agents are as they were."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from shelm.v1 import agent_pb2

from agent.action_space import ActionSpace
from agent.policy.heads import Choice
from services.protocol.actions import action_message, action_space_message
from services.protocol.stubs import episode_pb2

NARROW: dict[str, Any] = {"continuous": {"low": [-0.25, 0.1], "high": [0.5, 0.3]}}
Row = NDArray[np.float32]
# Serialised with the contract as it was then: the word "doorway", discrete action 5, value 0.25.
OLD_STEP = (
    "0a100a07646f6f72776179150000003f1803120208051d0000803e250000c0bf2a1000010203"
    "0405060708090a0b0c0d0e0f3210101112131415161718191a1b1c1d1e1f3a060880e2cfaa06"
)


def stored_and_read(choice: Choice) -> agent_pb2.Action:
    record = episode_pb2.CommittedStep(action=action_message(choice))
    return episode_pb2.CommittedStep.FromString(record.SerializeToString()).action


@given(vector=arrays.arrays(np.float32, 4, elements=st.floats(width=32, allow_nan=False)))
def test_a_stored_vector_comes_back_bit_for_bit(vector: Row) -> None:
    assert np.array(stored_and_read(vector).continuous.values, np.float32).tobytes() == vector.tobytes()
    in_dict = stored_and_read({"a": 1, "v": vector})
    assert [part.name for part in in_dict.dict.parts] == ["a", "v"]
    assert in_dict.dict.parts[0].action.WhichOneof("kind") == "discrete"
    assert np.array(in_dict.dict.parts[1].action.continuous.values, np.float32).tobytes() == vector.tobytes()


def test_the_first_action_of_an_agent_is_a_discrete_0_and_not_nothing() -> None:
    assert stored_and_read(0).WhichOneof("kind") == "discrete"


def test_a_step_that_was_stored_before_there_were_other_actions_reads_as_it_was() -> None:
    stored = bytes.fromhex(OLD_STEP)
    step = episode_pb2.CommittedStep.FromString(stored)
    assert (step.tokens[0].text, step.action.discrete, step.value) == ("doorway", 5, 0.25)
    assert step.SerializeToString() == stored


def test_a_space_is_described_with_its_bounds_and_names() -> None:
    names = {"names": ["x", "y"]}
    space = ActionSpace.model_validate({"dict": {"turn": {"discrete": 2, "names": ["no", "yes"]}, "move": NARROW | names}})
    move, turn = action_space_message(space).dict.parts
    assert (turn.name, turn.space.discrete, list(turn.space.names)) == ("turn", 2, ["no", "yes"])
    assert (move.name, move.space.continuous, list(move.space.names)) == ("move", 2, ["x", "y"])
    assert list(move.space.low.values) == np.array([-0.25, 0.1], np.float32).tolist()
    assert list(move.space.high.values) == np.array([0.5, 0.3], np.float32).tolist()


def test_a_discrete_space_is_described_as_before() -> None:
    space = ActionSpace(discrete=7, names=("left", "right"))
    assert action_space_message(space) == agent_pb2.ActionSpace(discrete=7, names=["left", "right"])
