"""Plays one episode of each given seed, several at once, with one ActBatch call per step.

Unlike `play_vector`, whose environments reset themselves without a seed, every episode is reset with its own: what is
played does not depend on the agent or on how many run at once, so that agents can be compared episode by episode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from shelm.boundary import as_flag, as_reward
from shelm.client import Client
from shelm.comparison import Comparison
from shelm.episode import Episode
from shelm.gym.evaluation import Played
from shelm.gym.starts import start_of
from shelm.gym.vector import act_on
from shelm.results import Act


def play_seeds(
    client: Client,
    environments: Sequence[Any],
    seeds: Sequence[int],
    *,
    on_end: Callable[[], None] | None = None,
    agent: str = "",
    deterministic: bool | None = None,
) -> list[Played]:
    """Plays one episode per seed until it is terminated or truncated; returns them in the order of the seeds.

    `environments` are alike, and as many as episodes shall run at once. A seed resets the environment and seeds the
    sampling of the actions; each episode's total reward is sent to the server. `on_end` is called after each. Raises
    EnvironmentMismatch before the first step if the agent was made for other frames or actions.
    """
    comparison = Comparison(client, agent)
    comparison.actions(environments[0])
    played: dict[int, Played] = {}
    waiting = iter(enumerate(seeds))

    def fresh(lane: _Lane) -> None:
        for number, seed in waiting:
            lane.reset(number, seed)
            comparison.frame(lane.observation)
            lane.begin(client.episode(seed=seed, agent=agent or None, deterministic=deterministic))
            return

    with ExitStack() as running:  # ends the episodes that are running when an exception is raised
        lanes = [_Lane(env) for env in environments]
        for lane in lanes:
            running.push(lane.ending)
            fresh(lane)
        while active := [lane for lane in lanes if lane.episode]:
            for lane, act in _acts(client, active, comparison):
                if lane.step(act):
                    played[lane.number] = lane.end()
                    if on_end:
                        on_end()
                    fresh(lane)
    return [played[number] for number in range(len(seeds))]


def _acts(client: Client, lanes: Sequence[_Lane], comparison: Comparison) -> Iterator[tuple[_Lane, Act]]:
    acts = act_on(client, {lane.name: comparison.seen(lane.observation) for lane in lanes})
    return ((lane, acts[lane.name]) for lane in lanes)


@dataclass
class _Lane:
    """One environment and its running episode."""

    env: Any
    number: int = -1
    seed: int = -1
    start: str = ""
    observation: Any = None
    total: float = 0.0
    length: int = 0
    episode: Episode | None = None
    ending: ExitStack = field(default_factory=ExitStack)

    @property
    def name(self) -> str:
        """Id of the running episode."""
        return self.episode.episode_id if self.episode else ""

    def reset(self, number: int, seed: int) -> None:
        """Resets the environment."""
        self.number, self.seed, self.total, self.length = number, seed, 0.0, 0
        self.observation, _ = self.env.reset(seed=seed)
        self.start = start_of(self.env, seed)

    def begin(self, episode: Episode) -> None:
        """Begins an episode on the server."""
        self.episode = self.ending.enter_context(episode)

    def step(self, act: Act) -> bool:
        """Executes the action; returns whether the episode has ended."""
        self.observation, given, terminated, truncated, _ = self.env.step(act.action)
        reward = as_reward(given)
        self.total, self.length = self.total + reward, self.length + 1
        if self.episode:
            self.episode.add_reward(reward)
        return as_flag(terminated) or as_flag(truncated)

    def end(self) -> Played:
        """Ends the running episode."""
        self.episode = None
        self.ending.close()
        return Played(self.seed, self.start, self.total, self.length)
