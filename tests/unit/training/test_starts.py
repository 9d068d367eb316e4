"""Distinct starts of an environment by its id."""

import pytest
from shelm.gym.starts import state

from training.environments import single_environment
from training.starts import UNSEEN, distinct_starts, starts_or_seeds


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


def test_where_starts_cannot_be_listed_there_are_seeds_and_it_is_said() -> None:
    assert starts_or_seeds("MiniGrid-MemoryS7-v0", 3) == (distinct_starts("MiniGrid-MemoryS7-v0")[:3], True)
    assert starts_or_seeds("MiniGrid-MemoryS7-v0", None) == (distinct_starts("MiniGrid-MemoryS7-v0"), True)
    assert starts_or_seeds("MiniGrid-Dynamic-Obstacles-Random-5x5-v0", 2)[1]
    assert starts_or_seeds("CartPole-v1", 2) == ([UNSEEN, UNSEEN + 1], False)
    with pytest.raises(ValueError, match="how many seeds"):
        starts_or_seeds("CartPole-v1", None)
