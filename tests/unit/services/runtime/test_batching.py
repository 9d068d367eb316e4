"""`Batcher`: who shares a run, who is dropped, and who is told what."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from services.runtime.batching import Batcher, in_thread
from services.runtime.errors import ServiceError

SOON = 5.0  # seconds; what takes longer has hung


class Doubler:
    """A run that doubles numbers once it is let go, and notes what it was asked for."""

    def __init__(self, *, held: bool = False) -> None:
        self.runs: list[list[int]] = []
        self.most_at_once = self._now = 0
        self._free = asyncio.Event()
        if not held:
            self._free.set()

    def let_go(self) -> None:
        self._free.set()

    async def __call__(self, items: list[int]) -> Sequence[int | Exception]:
        self.runs.append(items)
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        await self._free.wait()
        self._now -= 1
        return [ValueError(f"bad {item}") if item < 0 else 2 * item for item in items]


async def submitted(batcher: Batcher[int, int], *items: int, deadline: float | None = None) -> list[asyncio.Task[int]]:
    """Callers that wait, in this order."""
    tasks = [asyncio.create_task(batcher.submit(item, deadline=deadline)) for item in items]
    await asyncio.sleep(0)
    return tasks


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(SOON):
        while not condition():  # noqa: ASYNC110 - nothing to wait on: the condition is in the batcher
            await asyncio.sleep(0.001)


async def results(tasks: Sequence[asyncio.Task[int]]) -> list[int | BaseException]:
    async with asyncio.timeout(SOON):
        return await asyncio.gather(*tasks, return_exceptions=True)


async def test_callers_of_one_turn_share_a_run_and_get_their_own_result() -> None:
    run = Doubler()
    tasks = await submitted(Batcher(run, name="test"), 1, 2, 3)
    assert await results(tasks) == [2, 4, 6]
    assert run.runs == [[1, 2, 3]]


async def test_whoever_comes_during_a_run_shares_the_next_one() -> None:
    run = Doubler(held=True)
    batcher = Batcher(run, name="test")
    first = await submitted(batcher, 1)
    await until(lambda: run.runs)
    later = await submitted(batcher, *range(2, 12))
    run.let_go()
    assert await results([*first, *later]) == [2 * item for item in range(1, 12)]
    assert run.runs == [[1], list(range(2, 12))]


async def test_no_run_is_larger_than_max_size() -> None:
    run = Doubler()
    tasks = await submitted(Batcher(run, name="test", max_size=4), *range(10))
    assert await results(tasks) == [2 * item for item in range(10)]
    assert run.runs == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


async def test_a_run_waits_max_wait_for_more_callers() -> None:
    run = Doubler()
    batcher = Batcher(run, name="test", max_wait=0.3)
    began = time.monotonic()
    first = await submitted(batcher, 1)
    await asyncio.sleep(0.05)
    assert run.runs == []
    second = await submitted(batcher, 2)
    assert await results([*first, *second]) == [2, 4]
    assert run.runs == [[1, 2]]
    assert time.monotonic() - began >= 0.3


async def test_a_full_run_does_not_wait() -> None:
    run = Doubler()
    tasks = await submitted(Batcher(run, name="test", max_size=2, max_wait=600), 1, 2)
    assert await results(tasks) == [2, 4]


async def test_a_bad_item_fails_alone() -> None:
    tasks = await submitted(Batcher(Doubler(), name="test"), 1, -2, 3)
    first, bad, last = await results(tasks)
    assert (first, str(bad), last) == (2, "bad -2", 6)
    assert isinstance(bad, ValueError)


async def test_a_run_that_fails_fails_all_its_items_and_the_next_run_works() -> None:
    async def run(items: list[int]) -> list[int]:
        if 13 in items:
            raise RuntimeError("out of memory")
        return items

    batcher: Batcher[int, int] = Batcher(run, name="test")
    failed = await results(await submitted(batcher, 12, 13))
    assert [str(error) for error in failed] == ["out of memory"] * 2
    assert await results(await submitted(batcher, 14)) == [14]


async def test_a_run_that_answers_too_few_items_fails_them_all_instead_of_leaving_them_waiting() -> None:
    async def run(items: list[int]) -> list[int]:
        return items[1:]

    batcher: Batcher[int, int] = Batcher(run, name="test")
    for error in await results(await submitted(batcher, 1, 2)):
        assert isinstance(error, RuntimeError)
        assert "2 items" in str(error)


async def test_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    run = Doubler(held=True)
    batcher = Batcher(run, name="words", max_queue=2)
    running = await submitted(batcher, 1)
    await until(lambda: run.runs)
    waiting = await submitted(batcher, 2, 3)
    with pytest.raises(ServiceError, match="the words queue is full") as refused:
        await asyncio.wait_for(batcher.submit(4), SOON)
    assert refused.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused.value.reason == "QUEUE_FULL"
    assert refused.value.retry_after
    run.let_go()
    assert await results([*running, *waiting]) == [2, 4, 6]
    assert await results(await submitted(batcher, 5)) == [10]


async def test_an_item_whose_deadline_passes_while_it_waits_is_never_computed() -> None:
    run = Doubler(held=True)
    batcher = Batcher(run, name="test")
    running = await submitted(batcher, 1)
    await until(lambda: run.runs)
    late = await submitted(batcher, 2, deadline=time.monotonic() + 0.05)
    patient = await submitted(batcher, 3, deadline=time.monotonic() + 600)
    await asyncio.sleep(0.1)
    run.let_go()
    first, dropped, last = await results([*running, *late, *patient])
    assert (first, last) == (2, 6)
    assert isinstance(dropped, ServiceError)
    assert (dropped.code, dropped.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE")
    assert run.runs == [[1], [3]]


async def test_a_caller_that_went_away_is_never_computed() -> None:
    run = Doubler(held=True)
    batcher = Batcher(run, name="test")
    running = await submitted(batcher, 1)
    await until(lambda: run.runs)
    gone, patient = await submitted(batcher, 2, 3)
    gone.cancel()
    await asyncio.sleep(0)
    run.let_go()
    assert await results([*running, patient]) == [2, 6]
    assert run.runs == [[1], [3]]


async def test_a_caller_that_goes_away_during_its_run_leaves_the_others_alone() -> None:
    run = Doubler(held=True)
    tasks = await submitted(Batcher(run, name="test"), 1, 2)
    await until(lambda: run.runs)
    tasks[0].cancel()
    run.let_go()
    assert await results(tasks[1:]) == [4]


async def test_as_many_runs_as_allowed_are_under_way_at_once() -> None:
    run = Doubler(held=True)
    batcher = Batcher(run, name="test", max_size=1, concurrency=2)
    tasks = await submitted(batcher, 1, 2, 3, 4)
    await until(lambda: len(run.runs) == 2)
    await asyncio.sleep(0.02)
    assert run.runs == [[1], [2]]
    run.let_go()
    assert await results(tasks) == [2, 4, 6, 8]
    assert run.most_at_once == 2


async def test_items_put_together_get_their_own_outcome_as_if_they_had_come_alone() -> None:
    run = Doubler()
    batcher = Batcher(run, name="test", max_size=2, max_queue=4)
    outcomes = await asyncio.wait_for(batcher.put([1, -2, 3, 4, 5]), SOON)
    assert (outcomes[0], outcomes[2], outcomes[3]) == (2, 6, 8)
    assert isinstance(outcomes[1], ValueError)
    assert isinstance(outcomes[4], ServiceError)
    assert outcomes[4].reason == "QUEUE_FULL"
    assert run.runs == [[1, -2], [3, 4]]
    assert await asyncio.wait_for(batcher.put([]), SOON) == []


async def test_items_put_together_and_given_up_are_never_computed() -> None:
    run = Doubler(held=True)
    batcher = Batcher(run, name="test")
    running = await submitted(batcher, 1)
    await until(lambda: run.runs)
    batcher.put([2, 3]).cancel()
    patient = await submitted(batcher, 4)
    run.let_go()
    assert await results([*running, *patient]) == [2, 8]
    assert run.runs == [[1], [4]]


async def test_only_runs_of_a_size_that_has_proved_short_stay_on_the_loop() -> None:
    threads: list[tuple[int, bool]] = []
    slow = threading.Event()

    def work(items: list[int]) -> list[int]:
        threads.append((len(items), threading.current_thread() is threading.main_thread()))
        if slow.is_set():
            time.sleep(0.2)
        return items

    with ThreadPoolExecutor(1) as executor:
        run = in_thread(work, executor, inline_below=0.1)
        for items in ([1], [1], [1, 2, 3, 4], [1, 2, 3, 4]):
            assert await run(items) == items
        slow.set()
        for _ in range(12):
            await run([1])
    assert threads[:4] == [(1, False), (1, True), (4, False), (4, True)]
    assert threads[-1] == (1, False)


async def test_blocking_work_leaves_the_event_loop_free() -> None:
    release = threading.Event()
    threads = []

    def work(items: list[int]) -> list[int]:
        threads.append(threading.get_ident())
        assert release.wait(SOON)
        return items

    with ThreadPoolExecutor(1) as executor:
        batcher: Batcher[int, int] = Batcher(in_thread(work, executor), name="test")
        tasks = await submitted(batcher, 7)
        await until(lambda: threads)
        await asyncio.sleep(0.01)  # the loop turns while the work blocks
        assert not tasks[0].done()
        release.set()
        assert await results(tasks) == [7]
    assert threads != [threading.get_ident()]


async def test_items_that_come_during_a_run_share_the_next_one() -> None:
    run = Doubler(held=True)
    batcher = Batcher(run, name="test", patience=SOON, concurrency=2)
    first = await submitted(batcher, 1)
    await until(lambda: run.runs)
    later = [task for item in (2, 3) for task in await submitted(batcher, item)]
    run.let_go()
    assert await results([*first, *later]) == [2, 4, 6]
    assert run.runs == [[1], [2, 3]]


async def test_a_slow_run_holds_the_next_one_up_for_no_longer_than_patience() -> None:
    run = Doubler(held=True)
    batcher = Batcher(run, name="test", patience=0.01, concurrency=2)
    first = await submitted(batcher, 1)
    await until(lambda: run.runs)
    later = await submitted(batcher, 2)
    await until(lambda: len(run.runs) == 2)
    run.let_go()
    assert await results([*first, *later]) == [2, 4]
    assert run.most_at_once == 2
