"""Plays episodes in all sub-environments of a gymnasium vector environment at once, with one ActBatch call per step.

Each episode of a sub-environment is a separate episode on the server and ends there with its total reward. The client
retries batch items with transient errors; an item with a permanent error raises it, after all running episodes have been
ended. All three autoreset modes of gymnasium 1 are supported:

- next step: the step after the last one of an episode resets the environment; its action and reward are ignored and not sent
  to the server.
- same step: the last step of an episode returns the first frame of the next one.
- disabled: this function resets the sub-environments whose episodes have ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from shelm.client import Client
from shelm.episode import Episode
from shelm.errors import ShelmError
from shelm.gym.arrays import frame_of, stack
from shelm.gym.summary import Summary, Transition
from shelm.results import Act, Action


def play_vector(
    client: Client,
    envs: Any,
    *,
    episodes: int,
    seed: int = 0,
    on_step: Callable[[Transition], None] | None = None,
    agent: str = "",
    deterministic: bool | None = None,
) -> Summary:
    """Plays `episodes` episodes until they are terminated or truncated, and returns a summary.

    Every sub-environment plays an equal share, so that short episodes are not over-represented; a sub-environment that has
    played its share is still stepped, but ignored. `seed` resets the environments and seeds the sampling of episode 0;
    episode i uses seed + i, so a run with the same number of sub-environments can be reproduced exactly. Observations are
    uint8 arrays (n, height, width, 3), or mappings that contain one under "image" or "obs". Episodes are numbered in the
    order in which they begin.
    """
    summary, began, numbers = Summary(), time.monotonic(), count()

    def fresh(lane: _Lane) -> None:
        number = next(numbers)
        lane.begin(number, client.episode(seed=seed + number, agent=agent or None, deterministic=deterministic))

    with ExitStack() as running:  # ends the episodes that are running when an exception is raised
        lanes = [_Lane(index, (episodes + index) // envs.num_envs) for index in range(envs.num_envs)]
        for lane in lanes:
            running.push(lane.ending)
        for transition in _transitions(client, envs, lanes, fresh, seed):
            summary.add(transition)
            if on_step:
                on_step(transition)
    summary.seconds = time.monotonic() - began
    return summary


@dataclass
class _Lane:
    """One sub-environment: its running episode, and the number of episodes left to begin."""

    index: int
    left: int
    number: int = -1
    episode: Episode | None = None
    ending: ExitStack = field(default_factory=ExitStack)

    def begin(self, number: int, episode: Episode) -> None:
        """Begins an episode."""
        self.left -= 1
        self.number, self.episode = number, self.ending.enter_context(episode)

    def end(self) -> None:
        """Ends the running episode."""
        self.episode = None
        self.ending.close()


def _transitions(
    client: Client, envs: Any, lanes: list[_Lane], fresh: Callable[[_Lane], None], seed: int
) -> Iterator[Transition]:
    mode, observations = _autoreset(envs), envs.reset(seed=seed)[0]
    _begin(lanes, fresh)
    actions: dict[int, Action] = {}
    while any(lane.episode or lane.left for lane in lanes):
        acts = _act(client, lanes, frame_of(observations))
        actions |= {index: act.action for index, act in acts.items()}
        idle = next(iter(actions.values()))  # any valid action; its effect is ignored
        batch = stack([actions.get(lane.index, idle) for lane in lanes])
        observations, rewards, terminated, truncated, infos = envs.step(batch)
        done = terminated | truncated
        if mode == "NEXT_STEP":
            _begin(lanes, fresh)  # in the sub-environments that this step has reset
        for lane in lanes:
            index = lane.index
            if lane.episode is None or index not in acts:
                continue
            lane.episode.add_reward(rewards[index])
            ends = bool(terminated[index]), bool(truncated[index])
            yield Transition(lane.number, acts[index], float(rewards[index]), *ends, _info(infos, index))
            if done[index]:
                lane.end()
        if mode == "DISABLED" and done.any():
            observations = envs.reset(options={"reset_mask": done})[0]
        if mode != "NEXT_STEP":
            _begin(lanes, fresh)


def _begin(lanes: list[_Lane], fresh: Callable[[_Lane], None]) -> None:
    """Begins an episode in every sub-environment without one that has some left; the current frame must be its first."""
    for lane in lanes:
        if lane.episode is None and lane.left:
            fresh(lane)


def _act(client: Client, lanes: list[_Lane], frames: Any) -> dict[int, Act]:
    """Computes one step in every running episode; returns the Acts by the index of the sub-environment."""
    running = {lane.episode.episode_id: lane.index for lane in lanes if lane.episode}
    if not running:
        return {}
    results = client.act_batch({name: frames[index] for name, index in running.items()})
    acts = {}
    for name, result in results.items():
        if isinstance(result, ShelmError):
            raise result
        acts[running[name]] = result
    return acts


def _autoreset(envs: Any) -> str:
    """Returns the name of the autoreset mode; if the environment does not state it, next step, as in gymnasium."""
    from gymnasium.vector import AutoresetMode

    return AutoresetMode(envs.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)).name


def _info(infos: dict[str, Any], index: int) -> dict[str, Any]:
    """Returns the infos of one sub-environment: the entries that their mask (`_key`) marks as present."""
    return {
        key: _info(values, index) if isinstance(values, dict) else values[index]
        for key, values in infos.items()
        if not key.startswith("_") and (f"_{key}" not in infos or infos[f"_{key}"][index])
    }
