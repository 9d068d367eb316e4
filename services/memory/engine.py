"""The interface between the memory service and its engine, and the engine in this process.

Contract: `put` computes steps; a slot miss is a normal result. `rebuild` receives the last words of the history
together with the step, so that no other episode takes the slot in between, however few slots there are. Rebuilds that are
needed at once are computed together, in slices between which the steps of other episodes are computed. A rebuild goes on
when its caller's deadline passes, and the caller's next try waits for the same one or finds its result: it has a time limit
of its own, because otherwise a state that takes longer than a call could never be reached.

Failure policy: an invalid step (unknown word, wrong number of words) raises ValueError "FIELD: PROBLEM".
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from agent.history import MemoryStep, MemoryVector
from agent.memory.language_model import Chunks
from agent.memory.slots import MemorySlots, Rebuild, SlotCounts, SlotMiss
from services.agent_settings import AgentSettings
from services.runtime.batching import Queue, in_thread, make_batcher
from services.runtime.errors import check_deadline, deadline_passed

Result = TypeVar("Result")
INLINE = 0.002  # seconds of a step below which the way to the thread and back costs more
SLICE = 0.005  # seconds of a rebuild or an encoding before the steps that wait are computed


class MemoryEngine(Protocol):
    """Memory slots, in this process or in Triton.

    dtype: number format of the language model's weights; empty where Triton has them.
    """

    dtype: str

    def put(
        self, steps: Sequence[MemoryStep], *, deadline: float | None
    ) -> "asyncio.Future[list[MemoryVector | SlotMiss | BaseException]]":
        """Computes one step in each of several episodes: a slot miss where no slot holds the history, or an error."""

    async def rebuild(self, step: MemoryStep, words: Sequence[int], *, deadline: float | None) -> MemoryVector:
        """Rebuilds the state before the step from the last words of its history, then computes the step."""

    async def encode_histories(
        self, histories: Sequence[Sequence[int]], *, deadline: float | None
    ) -> list[NDArray[np.float32]]:
        """Returns the memory vectors, float32 (dimension,), after hypothetical histories; uses no slot."""

    async def forget(self, episode_ids: Sequence[str]) -> int:
        """Drops the slots of episodes; returns how many there were."""

    async def counts(self) -> SlotCounts:
        """Returns usage and counters since the start."""


class LocalMemory:
    """Memory slots in this process, used by a single thread."""

    def __init__(self, slots: MemorySlots, settings: AgentSettings) -> None:
        self._slots, self.dtype = slots, slots.dtype
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="memory")
        self._steps: Queue[MemoryStep, MemoryVector | SlotMiss] = make_batcher(
            in_thread(slots.remember, self._executor, inline_below=INLINE, free=lambda: not self._busy),
            name="memory",
            max_size=settings.max_batch,
            max_wait=settings.max_wait,
            max_queue=settings.max_queue,
        )
        self._rebuilds: Queue[Rebuild, MemoryVector] = make_batcher(
            lambda items: self._in_slices(slots.rebuilding(items), time.monotonic() + settings.rebuild_timeout),
            name="memory rebuild",
            max_size=slots.rebuild_rows,
            max_queue=settings.max_queue,
        )
        self._rebuild_timeout = settings.rebuild_timeout
        self._busy = 0  # jobs of the thread besides steps
        self._running: dict[MemoryStep, asyncio.Task[MemoryVector]] = {}

    def put(
        self, steps: Sequence[MemoryStep], *, deadline: float | None
    ) -> "asyncio.Future[list[MemoryVector | SlotMiss | BaseException]]":
        """Computes one step in each of several episodes."""
        return self._steps.put(steps, deadline=deadline)

    async def rebuild(self, step: MemoryStep, words: Sequence[int], *, deadline: float | None) -> MemoryVector:
        """Rebuilds the state before the step, then computes the step."""
        task = self._running.get(step)
        if task is None:
            limit = time.monotonic() + self._rebuild_timeout
            task = asyncio.create_task(self._rebuilds.submit(Rebuild(step, words), deadline=limit))
            self._running[step] = task
            task.add_done_callback(partial(self._ended, step))
        try:
            async with asyncio.timeout_at(deadline):  # the loop's clock is time.monotonic
                return await asyncio.shield(task)
        except TimeoutError:
            raise deadline_passed() from None

    async def encode_histories(
        self, histories: Sequence[Sequence[int]], *, deadline: float | None
    ) -> list[NDArray[np.float32]]:
        """Returns the memory vectors, float32 (dimension,), after hypothetical histories."""
        return await self._in_slices(self._slots.encoding(histories), deadline)

    async def forget(self, episode_ids: Sequence[str]) -> int:
        """Drops the slots of episodes; returns how many there were."""
        return await self._run(lambda: sum(self._slots.forget(episode_id) for episode_id in episode_ids))

    async def counts(self) -> SlotCounts:
        """Returns usage and counters since the start."""
        return self._slots.counts

    def _ended(self, step: MemoryStep, task: "asyncio.Task[MemoryVector]") -> None:
        del self._running[step]
        if not task.cancelled():
            task.exception()  # nobody may be left who waits for it

    async def _in_slices(self, chunks: Chunks[Result], deadline: float | None) -> Result:
        """Runs chunks in turns with the steps of other episodes, which the same thread computes in order of arrival."""
        while not (found := await self._run(partial(_slice, chunks))):
            check_deadline(deadline)
        return found[0]

    async def _run(self, work: Callable[[], Result]) -> Result:
        loop = asyncio.get_running_loop()
        self._busy += 1
        job = self._executor.submit(work)
        # Of the job and not of its caller, who may be gone before the thread has ended it.
        job.add_done_callback(lambda _: loop.call_soon_threadsafe(self._ended_job))
        return await asyncio.wrap_future(job)

    def _ended_job(self) -> None:
        self._busy -= 1


def _slice(chunks: Chunks[Result]) -> tuple[Result] | None:
    """Runs chunks for a short time, but at least one; returns the result if that was the last."""
    until = time.monotonic() + SLICE
    try:
        while True:
            next(chunks)
            if time.monotonic() >= until:
                return None
    except StopIteration as end:
        return (end.value,)
