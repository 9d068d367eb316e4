"""Plays gymnasium environments with a served agent.

`play` needs only an environment with gymnasium's reset and step; `minigrid_env` needs the extra: pip install
"shelm-client[gymnasium]". Errors of the server and of the environment pass through, after the running episode was
ended.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from shelm.client import Client
from shelm.episode import Episode
from shelm.results import Act

FRAME_KEYS = ("image", "obs")


@dataclass(frozen=True)
class Transition:
    """One step of the environment, with the act that caused it."""

    episode: int
    """Number of the episode in this run, from 0."""
    act: Act
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]


@dataclass
class Summary:
    """What happened in a run; grows while it runs."""

    returns: list[float] = field(default_factory=list)
    """Undiscounted sum of rewards of each episode."""
    lengths: list[int] = field(default_factory=list)
    """Steps of each episode."""
    replayed: int = 0
    """Answers that the server had committed before."""
    words: set[str] = field(default_factory=set)
    """Distinct words retrieved."""
    seconds: float = 0.0
    """Wall time of the whole run, environment included."""

    def add(self, transition: Transition) -> None:
        """Counts one step."""
        if transition.episode == len(self.returns):
            self.returns.append(0.0)
            self.lengths.append(0)
        self.returns[-1] += transition.reward
        self.lengths[-1] += 1
        self.replayed += transition.act.replayed
        self.words.update(token.text for token in transition.act.tokens)

    @property
    def mean_return(self) -> float:
        """Mean of the returns, 0.0 if there are none."""
        return sum(self.returns) / len(self.returns) if self.returns else 0.0

    @property
    def steps(self) -> int:
        """Steps of all episodes together."""
        return sum(self.lengths)

    @property
    def acts_per_second(self) -> float:
        """Steps per second of wall time, environment included."""
        return self.steps / self.seconds if self.seconds else 0.0


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
    """Plays `episodes` episodes to terminated or truncated and returns what happened.

    Episode i resets the environment with seed + i and draws its actions with seed + i, so a run can be repeated
    exactly. Observations are uint8 arrays (height, width, 3), or mappings that hold one under "image" or "obs".
    `agent` "" means the client's. The environment is given the action as gymnasium has it: an int for Discrete, a float32
    array for Box, a dict of these for Dict.
    """
    summary, began = Summary(), time.monotonic()
    for number in range(episodes):
        with client.episode(seed=seed + number, agent=agent or None, deterministic=deterministic) as episode:
            for transition in _transitions(episode, env, number, seed + number):
                summary.add(transition)
                if on_step:
                    on_step(transition)
        summary.seconds = time.monotonic() - began
    return summary


def _transitions(episode: Episode, env: Any, number: int, seed: int) -> Iterator[Transition]:
    observation, _ = env.reset(seed=seed)
    done = False
    while not done:
        act = episode.act(frame_of(observation))
        observation, reward, terminated, truncated, info = env.step(act.action)
        done = bool(terminated or truncated)
        yield Transition(number, act, float(reward), bool(terminated), bool(truncated), info)


def frame_of(observation: Any) -> Any:
    """Returns the frame in an observation: itself, or what a mapping holds under "image" or "obs"."""
    if isinstance(observation, Mapping):
        return next((observation[key] for key in FRAME_KEYS if key in observation), observation)
    return observation


def minigrid_env(env_id: str, **kwargs: Any) -> Any:
    """Returns a MiniGrid environment that observes the agent's partial view of 7x7 cells, uint8 (56, 56, 3)."""
    import gymnasium

    wrappers: Any = import_module("minigrid.wrappers")  # also registers MiniGrid's environments
    return wrappers.ImgObsWrapper(wrappers.RGBImgPartialObsWrapper(gymnasium.make(env_id, **kwargs), tile_size=8))
