"""The interfaces of retrieval and memory, whether they run in this process, at one address, or as several replicas.

Both take several items at once, of one agent, and answer each with its result or its error, so that one call serves a whole
batch. An error of the call as a whole is raised.
"""

from collections.abc import Awaitable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agent.frame import Observation
from agent.history import MemoryStep, MemoryVector
from agent.vocabulary import Word

Remembered = tuple[MemoryVector, bool]  # the vector after a step, and whether the memory state was rebuilt


class Retrieval(Protocol):
    """Frames -> words."""

    def words(
        self, agent_digest: str, observations: Sequence[Observation], *, deadline: float | None
    ) -> Awaitable[Sequence[Sequence[Word] | BaseException]]:
        """k words of each frame, most similar first."""


class Slots(Protocol):
    """What is asked of the memory beside its steps."""

    async def encode_histories(
        self, agent_digest: str, histories: Sequence[Sequence[int]], *, episode_id: str, deadline: float | None
    ) -> list[NDArray[np.float32]]:
        """The memory vectors, float32 (dimension,), of histories that need not exist. episode_id: chooses the replica."""

    async def forget(self, episode_ids: Sequence[str]) -> int:
        """Drops memory slots; returns how many there were."""


class Memory(Slots, Protocol):
    """Words -> memory vectors."""

    def remember(
        self, agent_digest: str, steps: Sequence[MemoryStep], *, deadline: float | None
    ) -> Awaitable[Sequence[Remembered | BaseException]]:
        """Takes one step in each of several episodes."""
