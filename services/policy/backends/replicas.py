"""Several replicas of retrieval and memory: each episode has a preferred memory replica, each frame a retrieval replica.

Contract and failure policy: those of services.runtime.replicas. A call at another replica costs one rebuild (memory) or one
computation (retrieval), and changes nothing durable.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from agent.frame import Observation
from agent.history import MemoryStep
from agent.vocabulary import Word
from services.policy.backends.interfaces import Remembered
from services.policy.backends.remote import RemoteMemory, RemoteRetrieval, unavailable
from services.runtime.replicas import Replicas


class RetrievalReplicas(Replicas[RemoteRetrieval]):
    """`Retrieval` at the replica that the frame prefers, whose cache holds its words if any does."""

    def __init__(self, target: str, connect: Callable[[str, str], RemoteRetrieval]) -> None:
        """connect: as in `Replicas`."""
        super().__init__(target, "retrieval", connect, partial(unavailable, "retrieval"))

    async def words(
        self, agent_digest: str, observations: Sequence[Observation], *, deadline: float | None
    ) -> Sequence[Sequence[Word] | BaseException]:
        """k words of each frame, most similar first."""

        def work(backend: RemoteRetrieval, some: list[int]) -> Awaitable[Sequence[Sequence[Word] | BaseException]]:
            return backend.words(agent_digest, [observations[i] for i in some], deadline=deadline)

        return await self.call_each([one.fingerprint for one in observations], work)


class MemoryReplicas(Replicas[RemoteMemory]):
    """`Memory` at the replica that the episode prefers, whose slots hold its memory state if any do."""

    def __init__(self, target: str, connect: Callable[[str, str], RemoteMemory]) -> None:
        """connect: as in `Replicas`."""
        super().__init__(target, "memory", connect, partial(unavailable, "memory"))

    async def remember(
        self, agent_digest: str, steps: Sequence[MemoryStep], *, deadline: float | None
    ) -> Sequence[Remembered | BaseException]:
        """The vector after each step, and whether the memory state was rebuilt."""

        def work(backend: RemoteMemory, some: list[int]) -> Awaitable[Sequence[Remembered | BaseException]]:
            return backend.remember(agent_digest, [steps[i] for i in some], deadline=deadline)

        return await self.call_each([step.episode_id.encode() for step in steps], work)

    async def encode_histories(
        self, agent_digest: str, histories: Sequence[Sequence[int]], *, episode_id: str, deadline: float | None
    ) -> list[NDArray[np.float32]]:
        """The memory vectors, float32 (dimension,), of histories that need not exist."""

        async def work(backend: RemoteMemory) -> list[NDArray[np.float32]]:
            return await backend.encode_histories(agent_digest, histories, episode_id=episode_id, deadline=deadline)

        return await self.call(episode_id.encode(), work)

    async def forget(self, episode_ids: Sequence[str]) -> int:
        """Drops memory slots at every replica, because an episode may have been served by several."""
        return sum(await self.each(lambda backend: backend.forget(episode_ids)))
