"""The vector runner and RemotePolicy with real gymnasium vector environments, against the stand-in server.

The stand-in keeps every frame, so that a test sees exactly which frames became steps of which episode.
"""

import importlib
from collections.abc import Iterator
from typing import Any

import grpc
import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from shelm import Client, RemotePolicy, errors
from shelm.gym import Transition, play_vector
from support.stand_in import MINIGRID, Failure, StandIn, frame, serving


class Counting(gymnasium.Env[Any, Any]):
    """Shows (its number, which episode, which step) as pixels; ends after `length` steps; a step's number is its reward."""

    observation_space = spaces.Box(0, 255, (4, 5, 3), np.uint8)
    action_space = spaces.Discrete(3)

    def __init__(self, number: int, length: int) -> None:
        self._number, self._length, self._episode, self._step = number, length, -1, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self._episode, self._step = self._episode + 1, 0
        return self._frame(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self._step += 1
        done = self._step == self._length
        return self._frame(), float(self._step), done, False, {"seen": self._step, "odd" if self._step % 2 else "even": True}

    def _frame(self) -> Any:
        pixels = np.zeros((4, 5, 3), np.uint8)
        pixels[0, 0] = (self._number, self._episode, self._step)
        return pixels


LENGTHS = (2, 3, 5)


def envs(mode: AutoresetMode) -> SyncVectorEnv:
    """Three environments whose episodes have different lengths."""
    makers = [lambda number=number, length=length: Counting(number, length) for number, length in enumerate(LENGTHS)]
    return SyncVectorEnv(makers, autoreset_mode=mode)


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn(shape=(4, 5))


@pytest.fixture
def client(stand_in: StandIn) -> Iterator[Client]:
    with serving(stand_in) as target, Client(target, retry_for=5.0) as client:
        yield client


def played(stand_in: StandIn) -> set[tuple[tuple[int, ...], ...]]:
    """Each episode as its frames: (number, episode, step)."""
    steps = [[tuple(data[:3]) for data, _ in episode] for episode in stand_in.committed.values()]
    return {tuple(episode) for episode in steps}


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_each_episode_of_a_sub_environment_is_one_episode_at_the_server(
    client: Client, stand_in: StandIn, mode: AutoresetMode
) -> None:
    seen = list[Transition]()
    summary = play_vector(client, envs(mode), episodes=7, seed=10, on_step=seen.append)
    # shares: 2, 2 and 3 episodes; every frame of every episode but the last one, which nobody acts on
    shares = enumerate((2, 2, 3))
    expected = {tuple((n, e, s) for s in range(LENGTHS[n])) for n, share in shares for e in range(share)}
    assert played(stand_in) == expected
    assert sorted(summary.lengths) == [2, 2, 3, 3, 5, 5, 5]
    assert sorted(summary.returns) == [3, 3, 6, 6, 15, 15, 15]
    assert stand_in.ended == set(stand_in.committed)
    totals = {name: sum(range(1, len(steps) + 1)) for name, steps in stand_in.committed.items()}
    assert stand_in.totals == totals
    assert [request.seed for request in stand_in.requests["CreateEpisode"]] == list(range(10, 17))
    told = [one.info for one in seen if one.episode == 2 and not one.terminated]
    assert [(info["seen"], "odd" in info, "even" in info) for info in told] == [
        (step, step % 2 == 1, step % 2 == 0) for step in range(1, 5)
    ]


def test_sub_environments_in_processes_of_their_own_are_played_alike(client: Client, stand_in: StandIn) -> None:
    makers = [lambda: Counting(0, 2), lambda: Counting(1, 3)]
    vector = AsyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP, context="spawn")
    try:
        assert sorted(play_vector(client, vector, episodes=2).returns) == [3, 6]
    finally:
        vector.close()
    assert played(stand_in) == {((0, 0, 0), (0, 0, 1)), ((1, 0, 0), (1, 0, 1), (1, 0, 2))}


def test_fewer_episodes_than_sub_environments_leave_some_unheard(client: Client, stand_in: StandIn) -> None:
    assert play_vector(client, envs(AutoresetMode.NEXT_STEP), episodes=1).returns == [15.0]
    assert played(stand_in) == {tuple((2, 0, step) for step in range(5))}


def test_an_item_that_fails_for_a_while_is_repeated_alone(client: Client, stand_in: StandIn) -> None:
    lost = Failure(grpc.StatusCode.UNAVAILABLE, "MEMORY_UNAVAILABLE")
    stand_in.item_failures = {1: lost, 4: lost}
    play_vector(client, envs(AutoresetMode.NEXT_STEP), episodes=3)
    sizes = [len(request.requests) for request in stand_in.requests["ActBatch"]]
    assert sizes[:4] == [3, 1, 3, 1]
    assert {len(steps) for steps in stand_in.committed.values()} == {2, 3, 5}


def test_an_error_for_good_ends_every_running_episode_without_a_total(client: Client, stand_in: StandIn) -> None:
    stand_in.item_failures = {4: Failure(grpc.StatusCode.INTERNAL, "INTERNAL")}
    with pytest.raises(errors.ShelmError, match="INTERNAL"):
        play_vector(client, envs(AutoresetMode.NEXT_STEP), episodes=3)
    assert (len(stand_in.ended), stand_in.totals) == (3, {})


def test_a_policy_begins_episodes_where_they_start_and_ends_the_ones_before(client: Client, stand_in: StandIn) -> None:
    batch = np.stack([frame(1), frame(2)])
    with RemotePolicy(client, seed=7) as policy:
        actions, state = policy.predict(batch)
        assert (actions.dtype, actions.tolist()) == (np.int64, [2, 2])
        _, later = policy.predict(batch, state, np.array([False, True]))
        assert later[0][0] == state[0][0]
        assert later[0][1] != state[0][1]
        assert stand_in.ended == {state[0][1]}
    assert len(stand_in.ended) == 3
    assert [len(stand_in.committed[name]) for name in (*state[0], later[0][1])] == [2, 1, 1]
    assert [request.seed for request in stand_in.requests["CreateEpisode"]] == [7, 8, 9]


def test_a_policy_takes_one_frame_and_gives_one_action(client: Client, stand_in: StandIn) -> None:
    policy = RemotePolicy(client)
    action, state = policy.predict({"image": frame(0)}, deterministic=True)
    again, _ = policy.predict({"image": frame(1)}, state)
    assert (int(action), int(again), np.ndim(action)) == (2, 2, 0)
    sent = [item for request in stand_in.requests["ActBatch"] for item in request.requests]
    assert [(item.step, item.deterministic) for item in sent] == [(0, True), (1, False)]


def test_a_state_of_another_number_of_environments_is_refused(client: Client) -> None:
    policy = RemotePolicy(client)
    _, state = policy.predict(frame(0))
    with pytest.raises(errors.InvalidArgument, match="state: expected 2 episodes"):
        policy.predict(np.stack([frame(0), frame(1)]), state)


class Simulator:
    """Two environments as simulators on a GPU hand them over: tensors, channels first, lists, one info for all; no seed."""

    num_envs = 2
    single_action_space = spaces.Discrete(3)

    def __init__(self) -> None:
        self._step = 0

    def reset(self) -> tuple[Any, Any]:
        return self._frames(), None

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, Any]:
        self._step += 1
        done = self._step == 3
        infos = {"time": 0.5 * self._step, "task": "go", "lives": [3, 4], 7: "seven", "log": {"fps": 60}}
        return self._frames(), torch.tensor([[1.0], [2.0]]), [done, False], torch.tensor([False, done]), infos

    def _frames(self) -> Any:
        pixels = np.stack([frame(self._step), frame(100 + self._step)])
        return {"rgb": torch.from_numpy(pixels).permute(0, 3, 1, 2), "goal": torch.zeros(2, 3)}


def test_what_a_simulator_hands_over_is_told_apart(client: Client, stand_in: StandIn) -> None:
    seen = list[Transition]()
    summary = play_vector(client, Simulator(), episodes=2, on_step=seen.append)
    assert (sorted(summary.returns), summary.lengths) == ([3.0, 6.0], [3, 3])
    assert played(stand_in) == {tuple((base + step,) * 3 for step in range(3)) for base in (0, 100)}
    assert [(one.terminated, one.truncated) for one in seen[-2:]] == [(True, False), (False, True)]
    shared = {"time": 1.5, "task": "go", 7: "seven", "log": {"fps": 60}}
    assert [one.info for one in seen[-2:]] == [shared | {"lives": 3}, shared | {"lives": 4}]


def test_environments_of_envpool_are_played(client: Client, stand_in: StandIn) -> None:
    envpool = importlib.import_module("envpool")
    stand_in.shape, stand_in.actions = (7, 7), MINIGRID
    envs = envpool.make("MiniGrid-MemoryS7-v0", env_type="gymnasium", num_envs=2, max_episode_steps=5, seed=3)
    seen = list[Transition]()
    assert play_vector(client, envs, episodes=4, on_step=seen.append).lengths == [5, 5, 5, 5]
    assert [len(steps) for steps in stand_in.committed.values()] == [5, 5, 5, 5]
    assert [one.truncated for one in seen if one.act.step == 4] == [True] * 4
    assert [one.info["elapsed_step"] for one in seen if one.episode == 3] == [1, 2, 3, 4, 5]
