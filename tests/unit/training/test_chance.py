"""Random actions: they depend on seed and step alone."""

import numpy as np
import pytest

from training.chance import RandomAgent
from training.evaluate import play_seeds

S7 = "MiniGrid-MemoryS7-v0"


def test_random_actions_depend_on_the_episodes_seed_and_the_step_alone() -> None:
    agent, other = RandomAgent(S7), RandomAgent(S7)
    frames = np.zeros((6, 4, 4, 3), np.uint8)
    places = [(0, seed, step) for seed in (1, 2) for step in range(3)]
    drawn = agent.act(frames, places, deterministic=False)
    assert other.act(frames[:3], places[3:], deterministic=False) == drawn[3:]
    many = agent.act(frames, [(0, 5, step) for step in range(700)], deterministic=False)
    assert np.bincount(many, minlength=7) == pytest.approx(np.full(7, 100), abs=40)


def test_outcomes_of_random_actions_are_those_of_the_environments_own_episodes() -> None:
    found = play_seeds(RandomAgent(S7), S7, range(10, 13), deterministic=False)
    assert play_seeds(RandomAgent(S7), S7, range(11, 13), deterministic=False) == found[1:]
