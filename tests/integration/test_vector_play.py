"""Vectors of MiniGrid against the real services: play_vector in every autoreset mode, and stable-baselines3's evaluation."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from shelm import Client, RemotePolicy
from shelm.gym import Transition, minigrid_env, play, play_vector
from shelm.results import EpisodeInfo
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecTransposeImage
from support.deployment import Deployment

ENV = "MiniGrid-MemoryS7-v0"
SHORT = 20  # steps; so that episodes end often


@pytest.fixture
def client(deployment: Deployment) -> Iterator[Client]:
    with Client(deployment.target) as client:
        yield client


def episodes_of(client: Client, before: set[str]) -> list[EpisodeInfo]:
    """The episodes that were not there before."""
    return [episode for episode in client.list_episodes() if episode.episode_id not in before]


def names(client: Client) -> set[str]:
    """Every episode of the server."""
    return {episode.episode_id for episode in client.list_episodes()}


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_vector_of_minigrid_is_played_episode_by_episode(client: Client, mode: AutoresetMode) -> None:
    before, seen = names(client), list[Transition]()
    envs = SyncVectorEnv([lambda: minigrid_env(ENV, max_steps=SHORT)] * 3, autoreset_mode=mode)
    summary = play_vector(client, envs, episodes=5, seed=4, on_step=seen.append)
    envs.close()
    assert (len(summary.returns), summary.replayed) == (5, 0)
    new = episodes_of(client, before)
    assert [(episode.ended, episode.total_reward is not None) for episode in new] == [(True, True)] * 5
    told = {one.act.episode_id: one.episode for one in seen}
    for episode in new:
        number = told[episode.episode_id]
        assert episode.committed_step == summary.lengths[number] - 1
        assert episode.total_reward == pytest.approx(summary.returns[number])
        assert episode.seed == 4 + number
        acts = [one.act.action for one in seen if one.episode == number]
        assert [step.action for step in client.memory(episode.episode_id)] == acts


def test_the_first_episode_of_a_vector_is_the_one_that_play_plays(client: Client) -> None:
    alone = list[Transition]()
    play(client, minigrid_env(ENV, max_steps=SHORT), episodes=1, seed=2, on_step=alone.append)
    seen = list[Transition]()
    envs = SyncVectorEnv([lambda: minigrid_env(ENV, max_steps=SHORT)] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    play_vector(client, envs, episodes=2, seed=2, on_step=seen.append)
    together = [one for one in seen if one.episode == 0]
    words = [[[token.text for token in one.act.tokens] for one in run] for run in (alone, together)]
    assert words[0] == words[1]
    assert [one.act.action for one in alone] == [one.act.action for one in together]


def make(seed: int) -> Any:
    """A monitored environment, as stable-baselines3 wants it."""
    env = Monitor(minigrid_env(ENV, max_steps=SHORT))
    env.reset(seed=seed)
    return env


def evaluated(client: Client, count: int, wrapped: Callable[[DummyVecEnv], VecEnv]) -> tuple[list[float], list[int]]:
    """Rewards and lengths that stable-baselines3 measures."""
    envs = wrapped(DummyVecEnv([partial(make, number) for number in range(count)]))
    with RemotePolicy(client, seed=0, env=envs) as policy:
        rewards, lengths = evaluate_policy(policy, envs, n_eval_episodes=4, return_episode_rewards=True)
    envs.close()
    assert isinstance(rewards, list)
    assert isinstance(lengths, list)
    return rewards, lengths


@pytest.mark.parametrize(("count", "wrapped"), [(1, lambda envs: envs), (2, VecTransposeImage)])
def test_stable_baselines3_evaluates_a_served_agent(
    client: Client, count: int, wrapped: Callable[[DummyVecEnv], VecEnv]
) -> None:
    before = names(client)
    rewards, lengths = evaluated(client, count, wrapped)
    assert len(rewards) == len(lengths) == 4
    assert all(0 <= reward <= 1 for reward in rewards)
    new = episodes_of(client, before)
    assert all(episode.ended for episode in new)
    stepped = sorted(episode.committed_step + 1 for episode in new if episode.committed_step is not None)
    for length in lengths:
        stepped.remove(length)  # each evaluated episode is one at the server, as long as it was


def test_a_policy_acts_in_one_environment_as_in_a_vector_of_one(client: Client) -> None:
    env, runs = minigrid_env(ENV, max_steps=SHORT), []
    for vector in (False, True):
        observation, _ = env.reset(seed=5)
        actions, state, done = [], None, False
        with RemotePolicy(client) as policy:
            while not done:
                action, state = policy.predict(observation[None] if vector else observation, state, deterministic=True)
                actions.append(int(np.ravel(action)[0]))
                observation, _, terminated, truncated, _ = env.step(actions[-1])
                done = terminated or truncated
        runs.append(actions)
    assert runs[0] == runs[1]
