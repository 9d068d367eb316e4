"""Edits of the words in a memory, for `Client.what_if` and `Client.branch_episode`.

Words are those of the agent's vocabulary. Edits are done one after the other, each on what those before it have left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union


@dataclass(frozen=True)
class Remove:
    """Takes a word away, from one step or from every step; without a word, all words of a step."""

    word: str = ""
    step: int | None = None


@dataclass(frozen=True)
class Replace:
    """Puts a word in the place of another, at one step or at every step."""

    word: str
    replacement: str
    step: int | None = None


@dataclass(frozen=True)
class Insert:
    """Adds a word after the others of a step."""

    word: str
    step: int


@dataclass(frozen=True)
class Swap:
    """Exchanges two words at every step."""

    word: str
    other: str


Edit = Union[Remove, Replace, Insert, Swap]
KINDS = (Remove, Replace, Insert, Swap)


@dataclass(frozen=True)
class Alternative:
    """Another memory, or another agent."""

    edits: Sequence[Edit] = ()
    agent: str = ""
    """Name or digest of an agent with the same vocabulary, which decides instead; "" for the episode's own."""


AnyAlternative = Union[Alternative, Edit, Sequence[Edit]]
