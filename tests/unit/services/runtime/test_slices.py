"""Long work in slices: the same results as at once, one slice at a time, and a turn of everybody else after each."""

import asyncio

import pytest

from services.runtime.slices import SLICE, Slices


class Clock:
    """Each item of work takes some seconds of it."""

    def __init__(self, seconds: float) -> None:
        self.now, self.seconds = 0.0, seconds

    def __call__(self) -> float:
        return self.now

    def work(self, item: int) -> int:
        self.now += self.seconds
        return 2 * item


@pytest.mark.parametrize("seconds", [0.0, SLICE / 3, 2 * SLICE])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 100])
async def test_the_results_are_those_of_the_work_at_once(seconds: float, count: int) -> None:
    clock = Clock(seconds)
    assert await Slices(clock).each(clock.work, iter(range(count))) == [2 * item for item in range(count)]


async def test_short_work_keeps_the_loop_and_long_work_gives_it_back_after_each_slice() -> None:
    async def turns_of_others(count: int) -> int:
        clock, turns = Clock(SLICE / 4), 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(other())
        await Slices(clock).each(clock.work, range(count))
        beside.cancel()
        return turns

    assert await turns_of_others(3) == 0
    assert await turns_of_others(40) >= 40 / 4 - 2


async def test_one_slice_is_done_at_a_time_and_everybody_goes_on_in_turn() -> None:
    clock, order = Clock(2 * SLICE), list[str]()
    slices = Slices(clock)

    async def caller(name: str) -> None:
        def work(item: int) -> None:
            clock.work(item)
            order.append(name)

        await slices.each(work, range(5))

    await asyncio.gather(caller("a"), caller("b"))
    assert sorted(order) == ["a"] * 5 + ["b"] * 5
    assert "aaa" not in "".join(order)
    assert "bbb" not in "".join(order)


async def test_a_turn_that_fails_gives_the_next_one_its_turn() -> None:
    slices = Slices()
    for _ in range(2):
        with pytest.raises(LookupError):
            async with slices.turn():
                raise LookupError


async def test_an_error_of_the_work_is_raised_as_it_is() -> None:
    def broken(item: int) -> int:
        raise LookupError(f"its own {item}")

    with pytest.raises(LookupError, match="its own"):
        await Slices().each(broken, [1])
