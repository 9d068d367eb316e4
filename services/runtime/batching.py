"""Dynamic batching: concurrent callers share one run.

Contract: `submit` queues an item and returns its own result. A batch starts as soon as a run slot is free and `max_wait` has
passed since its first item, or `max_size` items wait. The event loop never computes: `run` is async, and `in_thread` moves
blocking work to a thread of its own.

Failure policy: an item whose result is an exception fails alone; if the whole run fails, every item of the batch gets that
error. A full queue raises RESOURCE_EXHAUSTED at once; an item whose deadline has passed or whose caller is gone is dropped
before it is computed.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from services.runtime import telemetry, traces
from services.runtime.errors import deadline_passed, queue_full

if TYPE_CHECKING:
    from services.runtime.open_telemetry import Tracer

Item = TypeVar("Item")
Result = TypeVar("Result")
Item_contra = TypeVar("Item_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)
Run = Callable[[list[Item]], Awaitable[Sequence[Result | Exception]]]


class Queue(Protocol[Item_contra, Result_co]):
    """Where a service hands its items to an engine: a `Batcher`, or an engine elsewhere that makes its own batches."""

    async def submit(self, item: Item_contra, *, deadline: float | None = None) -> Result_co:
        """The item's result; `deadline` in `time.monotonic`."""


@dataclass
class _Waiting(Generic[Item, Result]):
    item: Item
    future: "asyncio.Future[Result]"
    deadline: float | None
    since: float


def in_thread(work: Callable[[list[Item]], Sequence[Result | Exception]], executor: ThreadPoolExecutor) -> Run[Item, Result]:
    """Wraps a blocking function as `run`; give it an executor with one thread if it is not safe for concurrent calls."""

    async def run(items: list[Item]) -> Sequence[Result | Exception]:
        return await asyncio.get_running_loop().run_in_executor(executor, work, items)

    return run


class Batcher(Generic[Item, Result]):
    """Collects items of concurrent callers. Times are seconds; deadlines are of `time.monotonic`.

    name: in metrics and errors.
    """

    def __init__(
        self,
        run: Run[Item, Result],
        *,
        name: str,
        max_size: int = 64,
        max_wait: float = 0.0,
        max_queue: int = 1024,
        concurrency: int = 1,
    ) -> None:
        self._run, self._name = run, name
        self._max_size, self._max_wait, self._max_queue = max_size, max_wait, max_queue
        self._concurrency = concurrency
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._active = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, item: Item, *, deadline: float | None = None) -> Result:
        """Waits for the item's result; raises its error, QUEUE_FULL or DEADLINE."""
        if len(self._queue) >= self._max_queue:
            raise queue_full(self._name)
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(item, future, deadline, time.monotonic()))
        self._pump()
        return await future

    def _pump(self) -> None:
        """Starts a batch now, or after `max_wait`, if a run may start."""
        if self._active >= self._concurrency or not self._queue:
            return
        if len(self._queue) >= self._max_size:
            self._start()
        elif self._timer is None:
            # Even a wait of 0 lets the callers of this turn of the loop join.
            self._timer = asyncio.get_running_loop().call_later(self._max_wait, self._start)

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._active >= self._concurrency:
            return
        batch = self._take()
        if batch:
            self._active += 1
            # A batch has many callers, so it must not run in the context of the one that happened to start it.
            task = asyncio.get_running_loop().create_task(self._execute(batch), context=Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._pump()

    def _take(self) -> list[_Waiting[Item, Result]]:
        """The next items whose caller still waits and whose deadline has not passed."""
        batch: list[_Waiting[Item, Result]] = []
        now = time.monotonic()
        while self._queue and len(batch) < self._max_size:
            waiting = self._queue.popleft()
            if waiting.future.done():
                continue
            if waiting.deadline is not None and waiting.deadline <= now:
                waiting.future.set_exception(deadline_passed())
                continue
            telemetry.QUEUE_SECONDS.labels(self._name).observe(now - waiting.since)
            batch.append(waiting)
        return batch

    async def _execute(self, batch: list[_Waiting[Item, Result]]) -> None:
        telemetry.BATCH_SIZE.labels(self._name).observe(len(batch))
        started = time.monotonic()
        results: Sequence[Result | Exception]
        try:
            results = await self._run([waiting.item for waiting in batch])
            if len(results) != len(batch):
                raise RuntimeError(f"the {self._name} run answered {len(results)} of {len(batch)} items")
        except Exception as error:  # the callers are told; this task must not end the service
            results = [error] * len(batch)
        finally:
            self._active -= 1
        telemetry.RUN_SECONDS.labels(self._name).observe(time.monotonic() - started)
        for waiting, result in zip(batch, results, strict=True):
            if waiting.future.done():
                continue
            if isinstance(result, Exception):
                waiting.future.set_exception(result)
            else:
                waiting.future.set_result(result)
        self._pump()


def make_batcher(run: Run[Item, Result], *, name: str, method: str = "", **limits: Any) -> Queue[Item, Result]:
    """A `Batcher`, whose items keep their traces where traces are on.

    method: of the remote call that a run makes, if it makes one. limits: the other arguments of `Batcher`.
    """
    tracer = traces.tracer()
    return _TracedBatcher(tracer, run, name, method, limits) if tracer else Batcher(run, name=name, **limits)


class _TracedBatcher(Generic[Item, Result]):
    def __init__(self, tracer: "Tracer", run: Run[Item, Result], name: str, method: str, limits: dict[str, Any]) -> None:
        self._tracer, self._run, self._name, self._method = tracer, run, name, method
        self._inner: Batcher[tuple[Item, traces.Where, float], Result] = Batcher(self._traced_run, name=name, **limits)

    async def submit(self, item: Item, *, deadline: float | None = None) -> Result:
        return await self._inner.submit((item, self._tracer.here(), time.monotonic()), deadline=deadline)

    async def _traced_run(self, items: list[tuple[Item, traces.Where, float]]) -> Sequence[Result | Exception]:
        now, places = time.monotonic(), [where for _, where, _ in items]
        for _, where, since in items:
            if where:
                self._tracer.waited(where, self._name, since, now)
        with self._tracer.run(places, self._name, self._method):
            return await self._run([item for item, _, _ in items])
