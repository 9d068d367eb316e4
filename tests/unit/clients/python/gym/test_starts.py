"""Distinct starts: what identifies one, and what each seed is where the state cannot be told."""

import gymnasium
import pytest
from shelm.gym import minigrid_env
from shelm.gym.starts import distinct_starts, start_of, state

S7 = "MiniGrid-MemoryS7-v0"


def test_a_start_is_named_by_its_state_whatever_its_seed() -> None:
    env = minigrid_env(S7)
    names = set()
    for seed in range(60):
        env.reset(seed=seed)
        names.add(start_of(env, seed))
    assert len(names) == len(distinct_starts(env)) == 16
    env.reset(seed=3)
    name = start_of(env, 3)
    env.step(0)
    assert start_of(env, 3) != name


def test_an_environment_without_a_state_is_refused_and_its_seeds_are_its_starts() -> None:
    env = gymnasium.make("CartPole-v1")
    with pytest.raises(ValueError, match="expected an environment of MiniGrid, got CartPoleEnv"):
        state(env)
    assert start_of(env, 5) == "seed 5"
