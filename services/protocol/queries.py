"""What episodes are asked for: the values of filters and searches, and whether an episode agrees with them.

Contract: all conditions of a filter and of a search hold at once; pure functions. Failure policy: none of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from services.protocol.names import split_name
from services.protocol.values import EpisodeState

Words = tuple[int, Sequence[str]]  # a step's number, and what it saw
Place = tuple[int, str]  # of an episode in an order: its time of creation in microseconds, its full name


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeFilter:
    """Which episodes are meant. Empty and None: whichever. Times are microseconds, from the first on and before the second.

    agent: its name, or the beginning of its digest. reward: from the first to the second. succeeded: whether the reward is
    above `success_above`.
    """

    agent: str = ""
    ended: bool | None = None
    created: tuple[int, int] | None = None
    updated: tuple[int, int] | None = None
    reward: tuple[float, float] | None = None
    prefix: str = ""
    succeeded: bool | None = None
    success_above: float = 0.0

    @property
    def needs_reward(self) -> bool:
        """Whether it means episodes alone whose reward is known, all of which have ended."""
        return self.reward is not None or self.succeeded is not None

    def of_agent(self, agent: str, digest: str) -> bool:
        """Whether an agent is meant."""
        return not self.agent or agent == self.agent or digest.startswith(self.agent)

    def named(self, name: str) -> bool:
        """Whether an episode of this full name may be meant."""
        return split_name(name)[0].startswith(self.prefix)

    def fits(self, state: EpisodeState) -> bool:
        """Whether an episode is meant."""
        return (
            self.of_agent(state.agent, state.agent_digest)
            and self.named(state.episode_id)
            and self.ended in (None, state.ended)
            and _within(self.created, state.created_us)
            and _within(self.updated, state.updated_us)
            and self._rewarded(state.total_reward)
        )

    def _rewarded(self, reward: float | None) -> bool:
        if reward is None:
            return not self.needs_reward
        least, most = self.reward or (-inf, inf)
        return least <= reward <= most and self.succeeded in (None, reward > self.success_above)


def _within(wanted: tuple[int, int] | None, time_us: int) -> bool:
    return wanted is None or wanted[0] <= time_us < wanted[1]


@dataclass(frozen=True, slots=True)
class SeenWord:
    """A word that steps saw, from the first to the last that count; None: up to the end."""

    word: str
    first: int = 0
    last: int | None = None

    def seen_at(self, steps: Iterable[Words]) -> int | None:
        """The first step that counts and saw it."""
        last = inf if self.last is None else self.last
        return next((step for step, words in steps if self.first <= step <= last and self.word in words), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Which episodes are meant, and what they saw and did not see."""

    filter: EpisodeFilter = field(default_factory=EpisodeFilter)
    saw: Sequence[SeenWord] = ()
    not_saw: Sequence[SeenWord] = ()

    @property
    def of_words(self) -> bool:
        """Whether it needs to know what episodes saw."""
        return bool(self.saw or self.not_saw)

    def seen(self, steps: Sequence[Words]) -> list[int] | None:
        """Where an episode of these steps saw what it must have seen; None if it is not one that is meant."""
        found = [one.seen_at(steps) for one in self.saw]
        if None in found or any(one.seen_at(steps) is not None for one in self.not_saw):
            return None
        return [step for step in found if step is not None]


@dataclass(frozen=True, slots=True)
class Found:
    """An episode that a search has found. seen_steps: where it first saw each word."""

    state: EpisodeState
    seen_steps: Sequence[int]


@dataclass(frozen=True, slots=True)
class Counted:
    """A word, or two of consecutive steps, with the episodes that saw it: of those that succeeded, of those that failed."""

    words: tuple[str, ...]
    succeeded: int
    failed: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Episodes that succeeded and failed, and what they saw, the most different first. partial: some were not counted."""

    succeeded: int
    failed: int
    words: Sequence[Counted]
    transitions: Sequence[Counted]
    partial: bool
