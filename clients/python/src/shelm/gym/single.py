"""Plays episodes in one environment, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from shelm.boundary import as_flag, as_info, as_reward
from shelm.client import Client
from shelm.comparison import Comparison
from shelm.episode import Episode
from shelm.gym.summary import Summary, Transition


def play(
    client: Client,
    env: Any,
    *,
    episodes: int,
    seed: int = 0,
    on_step: Callable[[Transition], None] | None = None,
    agent: str = "",
    deterministic: bool | None = None,
) -> Summary:
    """Plays `episodes` episodes until they are terminated or truncated, and returns a summary.

    Episode i resets the environment with seed + i and samples its actions with seed + i, so a run can be reproduced exactly;
    its total reward is sent to the server. Observations are frames as in `shelm.boundary`: uint8 (height, width, 3), or
    mappings that contain one under "image", "obs" or "pixels". `agent` "" means the client's agent. The environment receives
    actions in gymnasium's form: an int for Discrete, a float32 array for Box, a dict of these for Dict. Raises
    EnvironmentMismatch before the first step if the agent was made for other frames or actions.
    """
    summary, began = Summary(), time.monotonic()
    comparison = Comparison(client, agent)
    comparison.actions(env)
    for number in range(episodes):
        with client.episode(seed=seed + number, agent=agent or None, deterministic=deterministic) as episode:
            for transition in _transitions(episode, env, number, seed + number, comparison):
                summary.add(transition)
                if on_step:
                    on_step(transition)
        summary.seconds = time.monotonic() - began
    return summary


def _transitions(episode: Episode, env: Any, number: int, seed: int, comparison: Comparison) -> Iterator[Transition]:
    observation, _ = env.reset(seed=seed)
    comparison.frame(observation)
    done = False
    while not done:
        act = episode.act(comparison.seen(observation))
        observation, given, *ends, info = env.step(act.action)
        reward, (terminated, truncated) = as_reward(given), map(as_flag, ends)
        episode.add_reward(reward)
        done = terminated or truncated
        yield Transition(number, act, reward, terminated, truncated, as_info(info))
