"""Agent and environment are compared before the first step, wherever they meet; both sides are named."""

from collections.abc import Callable
from typing import Any

import grpc
import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv
from shelm import Client, Continuous, Discrete, RemotePolicy, errors
from shelm.cli import main
from shelm.comparison import _agrees
from shelm.gym import play, play_vector
from shelm.results import ActionSpace
from support.stand_in import Failure, StandIn, frame

MOVE = Continuous((-1.0, -1.0), (1.0, 1.0), ())
BOX = spaces.Box(-1, 1, (2,), np.float32)


@pytest.mark.parametrize(
    ("mine", "theirs", "agrees"),
    [
        (Discrete(7, ()), spaces.Discrete(7), True),
        (Discrete(7, ()), spaces.Discrete(7, start=1), False),
        (Discrete(7, ()), spaces.Discrete(3), False),
        (Discrete(3, ()), spaces.Discrete(7), False),
        (Discrete(7, ()), spaces.MultiDiscrete([7]), False),
        (Discrete(7, ()), spaces.MultiBinary(7), False),
        (Discrete(7, ()), BOX, False),
        (MOVE, BOX, True),
        (MOVE, spaces.Box(-1, 1, (2,), np.float64), True),
        (MOVE, spaces.Box(-np.inf, np.inf, (2,), np.float32), True),
        (MOVE, spaces.Box(np.array([-1, -np.inf]), np.array([1, np.inf]), dtype=np.float32), True),
        (MOVE, spaces.Box(-2, 2, (2,), np.float32), False),
        (MOVE, spaces.Box(-1, 1, (3,), np.float32), False),
        (MOVE, spaces.Box(-1, 1, (1, 2), np.float32), False),
        (MOVE, spaces.Discrete(2), False),
        ({"move": MOVE, "jump": Discrete(2, ())}, spaces.Dict(jump=spaces.Discrete(2), move=BOX), True),
        ({"move": MOVE}, spaces.Dict(jump=spaces.Discrete(2), move=BOX), False),
        ({"move": MOVE}, spaces.Dict(move=spaces.Box(0, 1, (2,))), False),
        ({"move": MOVE}, spaces.Tuple([BOX]), False),
        ({"move": MOVE}, BOX, False),
    ],
)
def test_actions_agree_if_every_action_of_the_agent_is_one_of_the_environment(
    mine: ActionSpace, theirs: spaces.Space[Any], *, agrees: bool
) -> None:
    assert _agrees(mine, theirs) is agrees


class Blank(gymnasium.Env[Any, Any]):
    """Shows one frame, for ever; it must never be stepped."""

    observation_space = spaces.Box(0, 255, (4, 5, 3), np.uint8)
    action_space: spaces.Space[Any] = spaces.Discrete(3)

    def __init__(self, space: spaces.Space[Any] | None = None, shape: tuple[int, ...] = (4, 5, 3)) -> None:
        self.action_space = space or self.action_space
        self.observation_space = spaces.Box(0, 255, shape, np.uint8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        return np.zeros(self.observation_space.shape, np.uint8), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        raise AssertionError("the first step was taken")


def vector(env: Blank) -> SyncVectorEnv:
    return SyncVectorEnv([lambda: env])


WAYS: dict[str, Callable[[Client, Blank], Any]] = {
    "play": lambda client, env: play(client, env, episodes=1),
    "play_vector": lambda client, env: play_vector(client, vector(env), episodes=1),
    "RemotePolicy": lambda client, env: RemotePolicy(client, env=env).predict(env.reset()[0]),
    "RemotePolicy, vector": lambda client, env: RemotePolicy(client, env=vector(env)).predict(env.reset()[0][None]),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("env", "says"),
    [
        (
            Blank(spaces.Discrete(3, start=1)),
            r"Discrete\(3\) from 0 \(left, right, forward\).* takes Discrete\(3, start=1\)",
        ),
        (Blank(spaces.Discrete(7)), r"takes Discrete\(7\)"),
        (Blank(BOX), r"takes Box\(-1.0, 1.0, \(2,\), float32\)"),
        (Blank(shape=(6, 7, 3)), "stand-in sees frames of 4x5x3, the environment shows 6x7x3"),
    ],
)
def test_a_run_that_cannot_mean_anything_does_not_begin(
    client: Client, stand_in: StandIn, way: str, env: Blank, says: str
) -> None:
    with pytest.raises(errors.EnvironmentMismatch, match=says):
        WAYS[way](client, env)
    assert not stand_in.requests["Act"] + stand_in.requests["ActBatch"]
    assert set(stand_in.committed) == stand_in.ended  # nothing is left running


def test_it_is_compared_with_the_agent_that_will_act(client: Client, stand_in: StandIn) -> None:
    named = [(None, "mine"), ("theirs", "theirs")]
    with Client(client.target, agent="mine") as other:
        for agent, _ in named:
            with RemotePolicy(other, agent=agent, env=Blank()) as policy:
                policy.predict(frame(0))
    assert [request.agent for request in stand_in.requests["GetAgent"]] == [name for _, name in named]


def test_a_token_that_may_not_read_may_still_act(client: Client, stand_in: StandIn) -> None:
    stand_in.before["GetAgent"].append(Failure(grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"))
    action, _ = RemotePolicy(client, env=Blank(spaces.Discrete(9))).predict(frame(0))
    assert action == 2


def test_the_command_line_says_it_in_one_line(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["play", "--env", "MiniGrid-MemoryS7-v0", "--target", client.target]) == 1
    told = capsys.readouterr()
    assert told.err.startswith("shelm: the agent stand-in acts with Discrete(3) from 0 (left, right, forward)")
    assert (told.err.count("\n"), told.out) == (1, "")
