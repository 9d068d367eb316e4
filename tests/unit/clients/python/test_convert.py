"""The client with agents whose actions are vectors or dicts, against the stand-in server of support/stand_in.py."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from shelm import Client, Continuous, Discrete
from shelm.cli import main
from shelm.gym import play
from shelm.results import Action, ActionSpace
from shelm.texts import action_json, action_text
from shelm.v1 import agent_pb2
from support.stand_in import StandIn, serving

VECTOR = np.array([0.1, -1.0], np.float32)
CONTINUOUS = agent_pb2.Action(continuous=agent_pb2.FloatVector(values=VECTOR))
JUMP = agent_pb2.NamedAction(name="jump", action=agent_pb2.Action(discrete=1))
DICT = agent_pb2.Action(dict=agent_pb2.DictAction(parts=[JUMP, agent_pb2.NamedAction(name="move", action=CONTINUOUS)]))

BOX = agent_pb2.ActionSpace(
    continuous=2,
    low=agent_pb2.FloatVector(values=[-1, -1]),
    high=agent_pb2.FloatVector(values=[1, 1]),
    names=["x", "y"],
)
CHOICE = agent_pb2.ActionSpace(discrete=2, names=["no", "yes"])
PARTS = agent_pb2.ActionSpace(
    dict=agent_pb2.DictActionSpace(
        parts=[
            agent_pb2.NamedActionSpace(name="jump", space=CHOICE),
            agent_pb2.NamedActionSpace(name="move", space=BOX),
        ]
    )
)
GYM_BOX = spaces.Box(-1, 1, (2,), np.float32)
GYM_DICT = spaces.Dict({"move": GYM_BOX, "jump": spaces.Discrete(2)})


class Other(StandIn):
    """The stand-in with another agent."""

    def __init__(self, action: agent_pb2.Action, space: agent_pb2.ActionSpace) -> None:
        super().__init__()
        self._action, self._space = action, space

    def _answer(self, request: agent_pb2.ActRequest) -> agent_pb2.ActResponse:
        answer = super()._answer(request)
        answer.action.CopyFrom(self._action)
        return answer

    def _agent(self) -> agent_pb2.Agent:
        agent = super()._agent()
        agent.action_space.CopyFrom(self._space)
        return agent


class Strict(gymnasium.Env[Any, Any]):
    """Three steps; refuses an action that is not of its space, as gymnasium means it."""

    def __init__(self, space: spaces.Space[Any]) -> None:
        self.action_space, self.given = space, list[Any]()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        return np.zeros((56, 56, 3), np.uint8), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self.given.append(action)
        return np.full((4, 5, 3), len(self.given), np.uint8), 1.0, len(self.given) == 3, False, {}


@contextmanager
def client_of(action: agent_pb2.Action, space: agent_pb2.ActionSpace) -> Iterator[Client]:
    with serving(Other(action, space)) as target, Client(target) as client:
        yield client


def test_a_continuous_action_is_a_float32_array_bit_for_bit() -> None:
    with client_of(CONTINUOUS, BOX) as client:
        frame = np.zeros((4, 5, 3), np.uint8)
        actions: list[Any] = [client.act(frame, "a").action, next(client.memory("a")).action]
        actions.append(next(iter(client.watch_memory("a"))).action)
        for action in actions:
            assert (action.dtype, action.tobytes()) == (np.float32, VECTOR.tobytes())
        assert client.agent().action_space == Continuous((-1, -1), (1, 1), ("x", "y"))


def test_a_dict_action_has_an_entry_per_part() -> None:
    with client_of(DICT, PARTS) as client:
        frame = np.zeros((4, 5, 3), np.uint8)
        actions: list[Any] = [client.act(frame, "a").action, next(client.memory("a")).action]
        actions.append(client.act_batch({"b": frame})["b"].action)  # type: ignore[union-attr]
        for action in actions:
            assert list(action) == ["jump", "move"]
            assert (action["jump"], action["move"].tobytes()) == (1, VECTOR.tobytes())
        assert client.agent().action_space == {
            "jump": Discrete(2, ("no", "yes")),
            "move": Continuous((-1, -1), (1, 1), ("x", "y")),
        }


@pytest.mark.parametrize(("action", "space", "gym_space"), [(CONTINUOUS, BOX, GYM_BOX), (DICT, PARTS, GYM_DICT)])
def test_an_environment_gets_the_action_as_gymnasium_means_it(
    action: agent_pb2.Action, space: agent_pb2.ActionSpace, gym_space: spaces.Space[Any]
) -> None:
    env = Strict(gym_space)
    with client_of(action, space) as client:
        assert play(client, env, episodes=1).steps == len(env.given) == 3


@pytest.mark.parametrize(
    ("action", "text", "value"),
    [
        (1, "yes", "yes"),
        (VECTOR, "[0.10 -1.00]", [float(VECTOR[0]), -1.0]),
        ({"jump": 1, "move": VECTOR}, "jump=yes  move=[0.10 -1.00]", {"jump": "yes", "move": [float(VECTOR[0]), -1.0]}),
    ],
)
def test_an_action_is_shown_with_the_names_of_its_space(action: Action, text: str, value: object) -> None:
    choice = Discrete(2, ("no", "yes"))
    parts: ActionSpace = {"jump": choice, "move": Continuous((-1, -1), (1, 1), ())}
    space = parts if isinstance(action, dict) else choice
    assert action_text(action, space) == text
    assert json.loads(json.dumps(action_json(action, space))) == value


def test_an_action_is_shown_by_its_numbers_if_its_agent_is_unknown() -> None:
    assert action_text({"jump": 1, "move": VECTOR}, None) == "jump=1  move=[0.10 -1.00]"


Output = Callable[[list[str]], str]


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Output:
    """What a command prints."""

    def run(arguments: list[str]) -> str:
        assert main(arguments) == 0
        return capsys.readouterr().out

    return run


def test_the_command_line_prints_dict_actions_and_spaces(output: Output) -> None:
    with serving(Other(DICT, PARTS)) as target:
        with Client(target) as client:
            client.act(np.zeros((4, 5, 3), np.uint8), "a")
        shown = output(["memory", "a", "--target", target])
        assert shown == "*    0  doorway (0.93)  -> jump=yes  move=[0.10 -1.00]\n"
        assert "  56x56x3  jump: 2 actions, move: 2 dimensions  " in output(["agents", "--target", target])


def test_the_command_line_prints_continuous_spaces(output: Output) -> None:
    with serving(Other(CONTINUOUS, BOX)) as target:
        assert "  56x56x3  2 dimensions  " in output(["agents", "--target", target])
