"""The gymnasium runner against the stand-in server of support/stand_in.py."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from shelm import Client
from shelm.gym import Transition, minigrid_env, play
from support.stand_in import StandIn, serving


class ThreeSteps:
    """A stand-in environment: three steps, reward 1.0 at the last; observes a mapping, as MiniGrid does."""

    def __init__(self) -> None:
        self.seeds: list[int] = []

    def reset(self, *, seed: int) -> tuple[Any, dict[str, Any]]:
        self.seeds.append(seed)
        self.step_number = 0
        return self._observation(), {}

    def step(self, action: int) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.step_number += 1
        done = self.step_number == 3
        return self._observation(), float(done), done, False, {}

    def _observation(self) -> dict[str, Any]:
        return {"image": np.full((56, 56, 3), self.step_number, np.uint8), "mission": "go"}


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def target(stand_in: StandIn) -> Iterator[str]:
    with serving(stand_in) as target:
        yield target


def test_play_counts_returns_steps_and_words_and_ends_every_episode(target: str, stand_in: StandIn) -> None:
    env, seen = ThreeSteps(), list[Transition]()
    with Client(target) as client:
        summary = play(client, env, episodes=2, seed=7, on_step=seen.append, deterministic=True)
    assert (summary.returns, summary.lengths, summary.steps, summary.replayed) == ([1.0, 1.0], [3, 3], 6, 0)
    assert (env.seeds, [request.seed for request in stand_in.requests["CreateEpisode"]]) == ([7, 8], [7, 8])
    assert summary.words == {"doorway", "corridor", "wall"}
    assert [(step.episode, step.act.step, step.terminated) for step in seen][2:4] == [(0, 2, True), (1, 0, False)]
    assert len(stand_in.ended) == 2


def test_a_minigrid_environment_observes_its_partial_view() -> None:
    observation, _ = minigrid_env("MiniGrid-Empty-5x5-v0", max_steps=3).reset(seed=0)
    assert (observation.shape, observation.dtype) == ((56, 56, 3), np.uint8)
