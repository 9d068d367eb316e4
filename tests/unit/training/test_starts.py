"""Distinct starts of an environment by its id."""

import pytest
from shelm.gym.starts import state

from training.environments import single_environment
from training.starts import distinct_starts


@pytest.mark.parametrize(("env_id", "expected"), [("MiniGrid-MemoryS7-v0", 16), ("MiniGrid-MemoryS11-v0", 32)])
def test_a_memory_task_has_two_cues_two_forks_and_its_places(env_id: str, expected: int) -> None:
    seeds = distinct_starts(env_id)
    assert len(seeds) == expected
    env = single_environment(env_id)
    states = set()
    for seed in seeds:
        env.reset(seed=seed)
        states.add(state(env))
    assert len(states) == expected
