"""`Slices`: long work on the event loop in short slices, so that the calls of others have their turn in between.

Contract: what takes less than `SLICE` is done at once. Of longer work one slice is done at a time in the whole process,
whoever it is for, and after each the loop is left to others for as long as the slice has taken: so work of any number of
callers takes no more than half of the loop, and everybody's goes on in turn. Failure policy: errors of the work are raised
unchanged.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import chain
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
SLICE = 0.001  # seconds
REST = 0.1  # seconds at most: whatever a slice waited for, others of this kind need not wait much longer


class Slices:
    """The long work of one process. clock: as `time.perf_counter`."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._turn, self._clock = asyncio.Lock(), clock

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Around one slice: begins when nobody else has one, and rests after it."""
        async with self._turn:
            began = self._clock()
            yield
            await asyncio.sleep(min(self._clock() - began, REST))

    async def each(self, work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """The result of `work` for each item."""
        left = iter(items)
        results = self._slice(work, left)
        for item in left:
            async with self.turn():
                results += self._slice(work, chain((item,), left))
        return results

    def _slice(self, work: Callable[[Item], Result], left: Iterable[Item]) -> list[Result]:
        end, results = self._clock() + SLICE, list[Result]()
        for item in left:
            results.append(work(item))
            if self._clock() >= end:
                break
        return results
