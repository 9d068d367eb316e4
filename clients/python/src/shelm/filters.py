"""What episodes are asked for, for `Client.list_episodes`, `Client.search_episodes` and `Client.compare_outcomes`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Union


@dataclass(frozen=True)
class EpisodeFilter:
    """Which episodes are meant: those that agree with everything that is set. Times without a zone are in UTC."""

    agent: str = ""
    """Name of the agent, or the beginning of its digest."""
    ended: bool | None = None
    """True: those that have ended; False: those that run."""
    created_since: datetime | None = None
    created_until: datetime | None = None
    """Created before this."""
    updated_since: datetime | None = None
    updated_until: datetime | None = None
    """Ended, or used last, before this."""
    reward_least: float | None = None
    reward_most: float | None = None
    """Total reward up to this, this included."""
    name_prefix: str = ""
    """How their names begin."""
    succeeded: bool | None = None
    """True: those with a total reward above `success_above`; False: those with another one."""
    success_above: float = 0.0


@dataclass(frozen=True)
class Seen:
    """A word that an episode saw, in any of the steps `first_step` .. `last_step`; None: up to its end."""

    word: str
    first_step: int = 0
    last_step: int | None = None


AnySeen = Union[str, Seen]
"""A word alone is one seen at any step."""
EVERY = EpisodeFilter()
