"""Counterfactual rollouts: an environment is taken back to a step of an episode, and played on with another memory.

Contract: the environment is reset with the episode's seed and given its actions again, so it must do the same each time; the
branch then goes on in it as any episode. Whether it did is checked with the frame of the last repeated step, which must be
the committed one. Failure policy: InvalidArgument, before anything is created, for an environment that ends before the step
or a seed that leads to other frames; errors of the server and of the environment end the branch and are raised.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from shelm.boundary import as_flag, as_reward, invalid
from shelm.client import Client
from shelm.comparison import Comparison
from shelm.edits import Edit
from shelm.errors import StepConflict
from shelm.results import Action


@dataclass(frozen=True)
class Rollout:
    """A branch that was played to its end."""

    episode_id: str
    step: int
    """The first step that the branch took itself."""
    total: float
    """Sum of all rewards, those of the repeated steps included."""
    length: int
    """Steps of the whole episode."""
    actions: list[Action]
    """What the branch did, from `step` on."""


def replay(env: Any, seed: int, actions: Iterable[Action]) -> tuple[Any, float, bool]:
    """Resets an environment and repeats actions; returns the observation after them, the sum of their rewards, and whether
    the episode has ended. Stops at its end.
    """
    observation, _ = env.reset(seed=seed)
    total = 0.0
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        total += as_reward(reward)
        if as_flag(terminated) or as_flag(truncated):
            return observation, total, True
    return observation, total, False


def branch(
    client: Client,
    env: Any,
    source: str,
    step: int,
    edits: Sequence[Edit] = (),
    *,
    seed: int,
    episode_id: str | None = None,
    deterministic: bool | None = None,
) -> Rollout:
    """Plays what would have followed from `step` of the episode `source` with other words in its memory.

    `seed` is what the source's environment was reset with. The branch is `episode_id`, or gets a random id; it is ended with
    the sum of all rewards. `edits` and `deterministic` are as for `Client.branch_episode`.
    """
    info = client.get_episode(source)
    comparison = Comparison(client, info.agent_digest)
    comparison.actions(env)
    past = [one.action for one in islice(client.memory(source), step)]
    if len(past) < step:
        raise invalid("step", f"expected 0 .. {len(past)}, given {step}: {source} has {len(past)} steps")
    if past:
        before, _, ended = replay(env, seed, past[:-1])
        if not ended:
            _check_same(client, source, step - 1, comparison.seen(before))
    observation, total, ended = replay(env, seed, past)
    if ended:
        raise invalid("step", f"expected a step at which the episode goes on, given {step}, before which it has ended")
    name = episode_id or f"branch-{uuid.uuid4().hex}"
    client.branch_episode(name, source, step, edits, deterministic=deterministic)
    actions: list[Action] = []
    try:
        while not ended:
            act = client.act(comparison.seen(observation), name)
            observation, reward, terminated, truncated, _ = env.step(act.action)
            actions.append(act.action)
            total += as_reward(reward)
            ended = as_flag(terminated) or as_flag(truncated)
    except BaseException:
        client.end_episode(name, retry=False)
        raise
    client.end_episode(name, total_reward=total)
    return Rollout(name, step, total, step + len(actions), actions)


def _check_same(client: Client, source: str, step: int, frame: Any) -> None:
    """Repeats the last committed step before the branch with the frame that the environment shows now; nothing changes."""
    try:
        client.act(frame, source, step=step)
    except StepConflict:
        text = f"expected the seed of {source}, whose environment does the same each time; step {step} shows another frame"
        raise invalid("seed", text) from None
