"""Dynamic batching: concurrent callers share one run.

Contract: `submit` queues an item and returns its own result; `put` queues several and gives the outcome of each. A batch
starts as soon as a run slot is free and `max_wait` has passed since its first item, or `max_size` items wait. `run` is
async, and `in_thread` moves blocking work off the event loop to a thread of its own; only runs that have proved to be so
short that the way there would take longer may be left on the loop.

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
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from services.runtime import telemetry, traces
from services.runtime.errors import deadline_passed, queue_full

if TYPE_CHECKING:
    from services.runtime.open_telemetry import Tracer

Item = TypeVar("Item")
Result = TypeVar("Result")
Item_contra = TypeVar("Item_contra", contravariant=True)
SMOOTHING = 0.9  # of the measured time of a run
Run = Callable[[list[Item]], Awaitable[Sequence[Result | Exception]]]


class Queue(Protocol[Item_contra, Result]):
    """Where a service hands its items to an engine: a `Batcher`, or an engine elsewhere that makes its own batches."""

    async def submit(self, item: Item_contra, *, deadline: float | None = None) -> Result:
        """The item's result; `deadline` in `time.monotonic`."""

    def put(
        self, items: Sequence[Item_contra], *, deadline: float | None = None
    ) -> "asyncio.Future[list[Result | BaseException]]":
        """Hands over several items at once, whether or not the future is awaited: the result or error of each, in order."""


class _Group(Generic[Result]):
    """Items that were handed over together, and their outcomes."""

    __slots__ = ("future", "left", "outcomes")

    def __init__(self, count: int) -> None:
        self.future: asyncio.Future[list[Result | BaseException]] = asyncio.get_running_loop().create_future()
        self.outcomes: list[Any] = [None] * count
        self.left = count
        if not count:
            self.future.set_result([])

    def settle(self, index: int, outcome: Result | BaseException) -> None:
        self.outcomes[index] = outcome
        self.left -= 1
        if not self.left and not self.future.done():
            self.future.set_result(self.outcomes)


class _Waiting(Generic[Item, Result]):
    __slots__ = ("deadline", "group", "index", "item", "since")

    def __init__(self, item: Item, group: _Group[Result], index: int, deadline: float | None, since: float) -> None:
        self.item, self.group, self.index, self.deadline, self.since = item, group, index, deadline, since


def in_thread(
    work: Callable[[list[Item]], Sequence[Result | Exception]],
    executor: ThreadPoolExecutor,
    *,
    inline_below: float = 0.0,
    free: Callable[[], bool] = lambda: True,
) -> Run[Item, Result]:
    """Wraps a blocking function as `run`; give it an executor with one thread if it is not safe for concurrent calls.

    inline_below: seconds. Runs of a size that has lately taken less than this are computed on the event loop itself, because
    the way to a thread and back costs more; `work` must then be safe beside a call in the thread, or `free` say when there
    is none. 0: never.
    """
    lately: dict[int, float] = {}  # seconds of a run, smoothed, by the number of binary digits of its size

    def timed(items: list[Item]) -> Sequence[Result | Exception]:
        started, size = time.perf_counter(), len(items).bit_length()
        results = work(items)
        took = time.perf_counter() - started
        lately[size] = took + SMOOTHING * (lately.get(size, took) - took)
        return results

    async def run(items: list[Item]) -> Sequence[Result | Exception]:
        if lately.get(len(items).bit_length(), inline_below) < inline_below and free():
            return timed(items)
        return await asyncio.get_running_loop().run_in_executor(executor, timed, items)

    return run


class Batcher(Generic[Item, Result]):
    """Collects items of concurrent callers. Times are seconds; deadlines are of `time.monotonic`.

    name: in metrics and errors. max_wait: for a fuller batch, if nothing runs. patience: for a fuller batch while another
    run is under way, at most until it ends; so callers under load share runs, and a slow run holds nobody up for longer.
    """

    def __init__(
        self,
        run: Run[Item, Result],
        *,
        name: str,
        max_size: int = 64,
        max_wait: float = 0.0,
        patience: float = 0.0,
        max_queue: int = 1024,
        concurrency: int = 1,
    ) -> None:
        self._run, self._name = run, name
        self._max_size, self._max_wait, self._max_queue = max_size, max_wait, max_queue
        self._patience, self._concurrency = patience, concurrency
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._active = 0
        self._timer: asyncio.Handle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._queue_seconds = telemetry.QUEUE_SECONDS.labels(name)
        self._batch_size = telemetry.BATCH_SIZE.labels(name)
        self._run_seconds = telemetry.RUN_SECONDS.labels(name)

    async def submit(self, item: Item, *, deadline: float | None = None) -> Result:
        """Waits for the item's result; raises its error, QUEUE_FULL or DEADLINE."""
        (outcome,) = await self.put((item,), deadline=deadline)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def put(self, items: Sequence[Item], *, deadline: float | None = None) -> "asyncio.Future[list[Result | BaseException]]":
        """Queues several items. An outcome may be QUEUE_FULL or DEADLINE; who cancels the future gives all items up."""
        group: _Group[Result] = _Group(len(items))
        now = time.monotonic()
        for index, item in enumerate(items):
            if len(self._queue) >= self._max_queue:
                group.settle(index, queue_full(self._name))
            else:
                self._queue.append(_Waiting(item, group, index, deadline, now))
        self._pump()
        return group.future

    def _pump(self) -> None:
        """Starts a batch now, or after a wait, if a run may start."""
        if self._active >= self._concurrency or not self._queue:
            return
        if len(self._queue) >= self._max_size:
            self._start()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            wait = self._patience if self._active else self._max_wait
            # Even a wait of 0 lets the callers of this turn of the loop join.
            self._timer = loop.call_later(wait, self._start) if wait else loop.call_soon(self._start)

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
            if waiting.group.future.done():
                continue
            if waiting.deadline is not None and waiting.deadline <= now:
                waiting.group.settle(waiting.index, deadline_passed())
                continue
            self._queue_seconds.observe(now - waiting.since)
            batch.append(waiting)
        return batch

    async def _execute(self, batch: list[_Waiting[Item, Result]]) -> None:
        self._batch_size.observe(len(batch))
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
        self._run_seconds.observe(time.monotonic() - started)
        for waiting, result in zip(batch, results, strict=True):
            waiting.group.settle(waiting.index, result)
        if self._timer is not None and not self._active:  # nothing to be patient for
            self._timer.cancel()
            self._timer = None
        self._pump()


async def outcome_of(work: Awaitable[Result]) -> Result | Exception:
    """The result, or the error instead of raising it."""
    try:
        return await work
    except Exception as error:
        return error


async def together(works: Sequence[Awaitable[Result]]) -> list[Result]:
    """The results of several awaitables, which run at the same time; a single one needs no task of its own."""
    return [await works[0]] if len(works) == 1 else await asyncio.gather(*works)


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

    def put(self, items: Sequence[Item], *, deadline: float | None = None) -> "asyncio.Future[list[Result | BaseException]]":
        where, now = self._tracer.here(), time.monotonic()
        return self._inner.put([(item, where, now) for item in items], deadline=deadline)

    async def _traced_run(self, items: list[tuple[Item, traces.Where, float]]) -> Sequence[Result | Exception]:
        now, places = time.monotonic(), [where for _, where, _ in items]
        for _, where, since in items:
            if where:
                self._tracer.waited(where, self._name, since, now)
        with self._tracer.run(places, self._name, self._method):
            return await self._run([item for item, _, _ in items])
