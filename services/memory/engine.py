"""The interface between the memory service and its engine, and the engine in this process.

Contract: `submit` computes one step; a slot miss is a normal result. `rebuild` receives the last words of the history
together with the step, so that no other episode takes the slot in between, however few slots there are. Failure policy: an
invalid step (unknown word, wrong number of words) raises ValueError "FIELD: PROBLEM".
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from agent.history import MemoryStep, MemoryVector
from agent.memory.slots import MemorySlots, SlotCounts, SlotMiss
from services.agent_settings import AgentSettings
from services.runtime.batching import Queue, in_thread, make_batcher

Result = TypeVar("Result")


class MemoryEngine(Protocol):
    """Memory slots, in this process or in Triton."""

    async def submit(self, step: MemoryStep, *, deadline: float | None) -> MemoryVector | SlotMiss:
        """Computes one step; returns a slot miss if no slot holds its history."""

    async def rebuild(self, step: MemoryStep, words: Sequence[int], *, deadline: float | None) -> MemoryVector:
        """Rebuilds the state before the step from the last words of its history, then computes the step."""

    async def encode_history(self, words: Sequence[int], *, deadline: float | None) -> NDArray[np.float32]:
        """Returns the memory vector, float32 (dimension,), after a hypothetical history; uses no slot."""

    async def forget(self, episode_ids: Sequence[str]) -> int:
        """Drops the slots of episodes; returns how many there were."""

    async def counts(self) -> SlotCounts:
        """Returns usage and counters since the start."""


class LocalMemory:
    """Memory slots in this process, used by a single thread."""

    def __init__(self, slots: MemorySlots, settings: AgentSettings) -> None:
        self._slots = slots
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="memory")
        self._steps: Queue[MemoryStep, MemoryVector | SlotMiss] = make_batcher(
            in_thread(slots.remember, self._executor),
            name="memory",
            max_size=settings.max_batch,
            max_wait=settings.max_wait,
            max_queue=settings.max_queue,
        )
        # One at a time, so that a live step waits for at most one of them.
        self._rebuilds: Queue[tuple[MemoryStep, Sequence[int]], MemoryVector] = make_batcher(
            in_thread(lambda items: [slots.rebuild_and_remember(*item) for item in items], self._executor),
            name="memory rebuild",
            max_size=1,
            max_queue=settings.max_queue,
        )

    async def submit(self, step: MemoryStep, *, deadline: float | None) -> MemoryVector | SlotMiss:
        """Computes one step; returns a slot miss if no slot holds its history."""
        return await self._steps.submit(step, deadline=deadline)

    async def rebuild(self, step: MemoryStep, words: Sequence[int], *, deadline: float | None) -> MemoryVector:
        """Rebuilds the state before the step, then computes the step."""
        return await self._rebuilds.submit((step, words), deadline=deadline)

    async def encode_history(self, words: Sequence[int], *, deadline: float | None) -> NDArray[np.float32]:
        """Returns the memory vector, float32 (dimension,), after a hypothetical history."""
        return await self._run(partial(self._slots.encode_history, words))

    async def forget(self, episode_ids: Sequence[str]) -> int:
        """Drops the slots of episodes; returns how many there were."""
        return await self._run(lambda: sum(self._slots.forget(episode_id) for episode_id in episode_ids))

    async def counts(self) -> SlotCounts:
        """Returns usage and counters since the start."""
        return self._slots.counts

    async def _run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
