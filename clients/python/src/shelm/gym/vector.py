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

import inspect
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from shelm.boundary import as_array, as_flags, as_frames, as_reward, info_of, stack
from shelm.client import Client
from shelm.comparison import Comparison
from shelm.episode import Episode
from shelm.errors import ShelmError
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
    episode i uses seed + i, so a run with the same number of sub-environments can be reproduced exactly (environments that
    take no seed at a reset, such as EnvPool's, are seeded where they are made). Observations are frames as in
    `shelm.boundary`: uint8 (n, height, width, 3), or mappings that contain such under "image", "obs" or "pixels".
    Episodes are numbered in the order in which they begin. Raises EnvironmentMismatch before the first step if the agent was
    made for other frames or actions.
    """
    summary, began, numbers = Summary(), time.monotonic(), count()
    comparison, size = Comparison(client, agent), _size(envs)
    comparison.actions(envs)

    def fresh(lane: _Lane) -> None:
        number = next(numbers)
        lane.begin(number, client.episode(seed=seed + number, agent=agent or None, deterministic=deterministic))

    with ExitStack() as running:  # ends the episodes that are running when an exception is raised
        lanes = [_Lane(index, (episodes + index) // size) for index in range(size)]
        for lane in lanes:
            running.push(lane.ending)
        for transition in _transitions(comparison, envs, lanes, fresh, seed):
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
    comparison: Comparison, envs: Any, lanes: list[_Lane], fresh: Callable[[_Lane], None], seed: int
) -> Iterator[Transition]:
    mode, observations = _autoreset(envs), _reset(envs, seed)
    comparison.frame(as_frames(observations)[0])
    _begin(lanes, fresh)
    actions: dict[int, Action] = {}
    while any(lane.episode or lane.left for lane in lanes):
        acts = _act(comparison.client, lanes, as_frames(observations))
        actions |= {index: act.action for index, act in acts.items()}
        idle = next(iter(actions.values()))  # any valid action; its effect is ignored
        batch = stack([actions.get(lane.index, idle) for lane in lanes])
        observations, rewards, *ends, infos = envs.step(batch)
        rewards, (terminated, truncated) = as_array(rewards), (as_flags(given, len(lanes)) for given in ends)
        done = terminated | truncated
        if mode == "NEXT_STEP":
            _begin(lanes, fresh)  # in the sub-environments that this step has reset
        for lane in lanes:
            index = lane.index
            if lane.episode is None or index not in acts:
                continue
            reward = as_reward(rewards[index])
            lane.episode.add_reward(reward)
            over = bool(terminated[index]), bool(truncated[index])
            yield Transition(lane.number, acts[index], reward, *over, info_of(infos, index, len(lanes)))
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
    acts = act_on(client, {name: frames[index] for name, index in running.items()})
    return {index: acts[name] for name, index in running.items()}


def act_on(client: Client, frames: Mapping[str, Any]) -> dict[str, Act]:
    """Computes one step in each episode; returns the Acts by episode id, and raises the first error of an item for good."""
    acts = {}
    for name, result in client.act_batch(frames).items() if frames else ():
        if isinstance(result, ShelmError):
            raise result
        acts[name] = result
    return acts


def _autoreset(envs: Any) -> str:
    """Returns the name of the autoreset mode; if the environment does not state it, next step, as in gymnasium."""
    from gymnasium.vector import AutoresetMode

    metadata = getattr(envs, "metadata", None) or {}
    return AutoresetMode(metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)).name


def _reset(envs: Any, seed: int) -> Any:
    """Returns the first observations; the seed is given to environments that take one."""
    takes_seed = "seed" in inspect.signature(envs.reset).parameters
    return (envs.reset(seed=seed) if takes_seed else envs.reset())[0]


def _size(envs: Any) -> int:
    """Returns the number of sub-environments; EnvPool's say it by their length alone."""
    return int(envs.num_envs if hasattr(envs, "num_envs") else len(envs))
