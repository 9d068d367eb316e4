"""The transitions of a run, and their summary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shelm.results import Act


@dataclass(frozen=True)
class Transition:
    """One step of the environment, with the Act that produced its action."""

    episode: int
    """Number of the episode in this run, from 0."""
    act: Act
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]


@dataclass
class Summary:
    """The results of a run; updated while it runs."""

    returns: list[float] = field(default_factory=list)
    """Undiscounted sum of rewards of each episode."""
    lengths: list[int] = field(default_factory=list)
    """Steps of each episode."""
    replayed: int = 0
    """Number of answers that had been committed before."""
    words: set[str] = field(default_factory=set)
    """Distinct words retrieved."""
    seconds: float = 0.0
    """Wall time of the whole run in seconds, including the environment."""

    def add(self, transition: Transition) -> None:
        """Adds one step."""
        while transition.episode >= len(self.returns):
            self.returns.append(0.0)
            self.lengths.append(0)
        self.returns[transition.episode] += transition.reward
        self.lengths[transition.episode] += 1
        self.replayed += transition.act.replayed
        self.words.update(token.text for token in transition.act.tokens)

    @property
    def mean_return(self) -> float:
        """Mean of the returns; 0.0 if there are none."""
        return sum(self.returns) / len(self.returns) if self.returns else 0.0

    @property
    def steps(self) -> int:
        """Total number of steps in all episodes."""
        return sum(self.lengths)

    @property
    def acts_per_second(self) -> float:
        """Steps per second of wall time, including the environment."""
        return self.steps / self.seconds if self.seconds else 0.0
