"""What the memory service asks of its engine, and the engine in this process.

Contract: `submit` takes one step; a slot miss is an answer. `rebuild` takes the history's last words and the step in one
go, so that no other episode takes the slot in between, however few there are. Failure policy: a step that cannot be taken
(unknown word, wrong number of words) raises ValueError "FIELD: PROBLEM".
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
    """Memory slots somewhere."""

    async def submit(self, step: MemoryStep, *, deadline: float | None) -> MemoryVector | SlotMiss:
        """Takes one step."""

    async def rebuild(self, step: MemoryStep, words: Sequence[int], *, deadline: float | None) -> MemoryVector:
        """Rebuilds the state before the step from the last words of its history, then takes the step."""

    async def encode_history(self, words: Sequence[int], *, deadline: float | None) -> NDArray[np.float32]:
        """The memory vector, float32 (dimension,), after a history that need not exist; no slot is touched."""

    async def forget(self, episode_ids: Sequence[str]) -> int:
        """Drops the slots of episodes; returns how many there were."""

    async def counts(self) -> SlotCounts:
        """What happened since the start."""


class LocalMemory:
    """Memory slots in this process; one thread touches them."""

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
        # One after the other, so that a live step waits for one of them at most.
        self._rebuilds: Queue[tuple[MemoryStep, Sequence[int]], MemoryVector] = make_batcher(
            in_thread(lambda items: [slots.rebuild_and_remember(*item) for item in items], self._executor),
            name="memory rebuild",
            max_size=1,
            max_queue=settings.max_queue,
        )

    async def submit(self, step: MemoryStep, *, deadline: float | None) -> MemoryVector | SlotMiss:
        """Takes one step; a slot miss is an answer."""
        return await self._steps.submit(step, deadline=deadline)

    async def rebuild(self, step: MemoryStep, words: Sequence[int], *, deadline: float | None) -> MemoryVector:
        """Rebuilds the state before the step, and takes the step."""
        return await self._rebuilds.submit((step, words), deadline=deadline)

    async def encode_history(self, words: Sequence[int], *, deadline: float | None) -> NDArray[np.float32]:
        """The memory vector after a history that need not exist."""
        return await self._run(partial(self._slots.encode_history, words))

    async def forget(self, episode_ids: Sequence[str]) -> int:
        """Drops the slots of episodes; returns how many there were."""
        return await self._run(lambda: sum(self._slots.forget(episode_id) for episode_id in episode_ids))

    async def counts(self) -> SlotCounts:
        """What happened since the start."""
        return self._slots.counts

    async def _run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
