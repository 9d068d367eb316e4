"""Plays episodes in all sub-environments of a gymnasium vector environment at once, one ActBatch a step.

Each episode of a sub-environment is an episode of its own at the server; it ends there when it ends here, with its
total reward. Items of a batch that fail for a passing reason are repeated by the client alone; an item that fails for
good raises its error, after all running episodes were ended. All three autoreset modes of gymnasium 1 are understood:

- next step: the step after an episode's last one resets; its action and reward are nobody's, the server never hears of it.
- same step: an episode's last step returns the first frame of the next one.
- disabled: this runner resets the sub-environments whose episodes have ended.
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
    """Plays `episodes` episodes to terminated or truncated and returns what happened.

    Every sub-environment plays its equal share, so that short episodes do not count more than long ones; one that has
    played its share is stepped on, unheard. `seed` resets the environments and seeds the draws of episode 0; episode i
    draws with seed + i, so a run with as many sub-environments can be repeated exactly. Observations are uint8 arrays
    (n, height, width, 3), or mappings that hold one under "image" or "obs". Episodes are numbered as they begin.
    """
    summary, began, numbers = Summary(), time.monotonic(), count()

    def fresh(lane: _Lane) -> None:
        number = next(numbers)
        lane.begin(number, client.episode(seed=seed + number, agent=agent or None, deterministic=deterministic))

    with ExitStack() as running:  # ends what an exception leaves running
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
    """One sub-environment: the episode that runs there, and how many are still to begin."""

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
        idle = next(iter(actions.values()))  # any valid action: nobody looks at what it does
        batch = stack([actions.get(lane.index, idle) for lane in lanes])
        observations, rewards, terminated, truncated, infos = envs.step(batch)
        done = terminated | truncated
        if mode == "NEXT_STEP":
            _begin(lanes, fresh)  # those that this step has reset
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
    """Begins an episode wherever none runs and one is left; the frame at hand must be its first."""
    for lane in lanes:
        if lane.episode is None and lane.left:
            fresh(lane)


def _act(client: Client, lanes: list[_Lane], frames: Any) -> dict[int, Act]:
    """Takes one step in every running episode; returns the acts by the sub-environment's index."""
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
    """Returns the name of the mode; where a vector environment tells none, gymnasium too takes the next step."""
    from gymnasium.vector import AutoresetMode

    return AutoresetMode(envs.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)).name


def _info(infos: dict[str, Any], index: int) -> dict[str, Any]:
    """Returns one sub-environment's part of the infos: the entries that its mask (`_key`) marks as present."""
    return {
        key: _info(values, index) if isinstance(values, dict) else values[index]
        for key, values in infos.items()
        if not key.startswith("_") and (f"_{key}" not in infos or infos[f"_{key}"][index])
    }
