"""Episodes of given seeds, several at once, against the stand-in server: each the same however many run at once."""

from collections.abc import Iterator
from typing import Any

import grpc
import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from shelm import Client, errors
from shelm.gym import Played, play_seeds
from support.stand_in import Failure, StandIn, serving

SEEDS = [3, 1, 4, 2, 5]


class Seeded(gymnasium.Env[Any, Any]):
    """An episode of as many steps as its seed says, each of which rewards the seed; shows (seed, step) as pixels."""

    observation_space = spaces.Box(0, 255, (4, 5, 3), np.uint8)
    action_space = spaces.Discrete(3)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        assert seed is not None
        self._seed, self._step = seed, 0
        return self._frame(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._step += 1
        done = self._step == self._seed
        return self._frame(), float(self._seed), done and self._seed % 2 == 0, done and self._seed % 2 == 1, {}

    def _frame(self) -> Any:
        pixels = np.zeros((4, 5, 3), np.uint8)
        pixels[0, 0] = (self._seed, self._step, 0)
        return pixels


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn(shape=(4, 5))


@pytest.fixture
def client(stand_in: StandIn) -> Iterator[Client]:
    with serving(stand_in) as target, Client(target, retry_for=5.0) as client:
        yield client


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_each_seed_is_one_episode_in_the_order_of_the_seeds(client: Client, stand_in: StandIn, count: int) -> None:
    ends = []
    found = play_seeds(client, [Seeded() for _ in range(count)], SEEDS, on_end=lambda: ends.append(1), deterministic=True)
    assert found == [Played(seed, f"seed {seed}", float(seed * seed), seed) for seed in SEEDS]
    assert len(ends) == 5
    steps = {tuple(tuple(data[:2]) for data, _ in episode) for episode in stand_in.committed.values()}
    assert steps == {tuple((seed, step) for step in range(seed)) for seed in SEEDS}
    assert stand_in.ended == set(stand_in.committed)
    assert {request.seed for request in stand_in.requests["CreateEpisode"]} == set(SEEDS)
    assert all(request.deterministic for request in stand_in.requests["CreateEpisode"])
    assert sorted(stand_in.totals.values()) == sorted(seed * seed for seed in SEEDS)


def test_an_error_for_good_ends_the_running_episodes_without_a_total(client: Client, stand_in: StandIn) -> None:
    stand_in.item_failures = {4: Failure(grpc.StatusCode.INTERNAL, "INTERNAL")}
    with pytest.raises(errors.ShelmError, match="INTERNAL"):
        play_seeds(client, [Seeded(), Seeded()], SEEDS)
    assert (len(stand_in.ended), list(stand_in.totals.values())) == (3, [1.0])  # the episode of seed 1 had ended


def test_an_agent_of_other_frames_is_refused_before_the_first_step(client: Client, stand_in: StandIn) -> None:
    stand_in.shape = (8, 8)
    with pytest.raises(errors.EnvironmentMismatch):
        play_seeds(client, [Seeded()], SEEDS)
    assert not stand_in.committed
