"""The interfaces of retrieval and memory, whether they run in this process, at one address, or as several replicas."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agent.frame import Observation
from agent.history import MemoryStep, MemoryVector
from agent.vocabulary import Word


class Retrieval(Protocol):
    """Frame -> words."""

    async def words(self, agent_digest: str, observation: Observation, *, deadline: float | None) -> Sequence[Word]:
        """k words, most similar first."""


class Memory(Protocol):
    """Words -> memory vector."""

    async def remember(self, agent_digest: str, step: MemoryStep, *, deadline: float | None) -> tuple[MemoryVector, bool]:
        """The vector after the step, and whether the memory state was rebuilt."""

    async def encode_histories(
        self, agent_digest: str, histories: Sequence[Sequence[int]], *, episode_id: str, deadline: float | None
    ) -> list[NDArray[np.float32]]:
        """The memory vectors, float32 (dimension,), of histories that need not exist. episode_id: chooses the replica."""

    async def forget(self, episode_ids: Sequence[str]) -> int:
        """Drops memory slots; returns how many there were."""
