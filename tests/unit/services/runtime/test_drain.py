"""The last seconds of a server: what is under way ends, what comes is refused, streams end in words."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from services.runtime.drain import QUIET, Drain
from services.runtime.errors import STOPPING_RETRY, ServiceError


async def counted(count: int, *, then: asyncio.Event | None = None) -> AsyncIterator[int]:
    """Numbers from 0, and after them nothing until `then`."""
    for number in range(count):
        yield number
    if then:
        await then.wait()


async def test_before_the_drain_every_item_of_a_stream_passes() -> None:
    assert [item async for item in Drain().until(counted(3))] == [0, 1, 2]


async def test_a_call_that_comes_during_the_drain_is_refused_with_the_time_to_wait() -> None:
    drain = Drain()
    drain.begin()
    with pytest.raises(ServiceError) as refused, drain:
        pytest.fail("it was let in")
    assert (refused.value.reason, refused.value.retry_after) == ("SERVER_STOPPING", STOPPING_RETRY)


async def test_the_drain_lasts_until_the_last_call_has_ended() -> None:
    drain, release = Drain(), asyncio.Event()

    async def call() -> None:
        with drain:
            await release.wait()

    running = asyncio.create_task(call())
    await asyncio.sleep(0)
    drain.begin()
    finished = asyncio.create_task(drain.finish(60))
    await asyncio.sleep(2 * QUIET)
    assert not finished.done()
    release.set()
    await finished
    await running


async def test_the_drain_goes_on_while_calls_come_and_not_longer_than_it_may() -> None:
    drain = Drain()
    drain.begin()
    finished = asyncio.create_task(drain.finish(5 * QUIET))
    began = time.monotonic()
    while not finished.done():
        with pytest.raises(ServiceError), drain:
            pass
        await asyncio.sleep(QUIET / 4)
    assert time.monotonic() - began > 2 * QUIET


async def test_a_stream_that_waits_ends_with_the_beginning_of_the_drain_and_its_source_is_let_go() -> None:
    drain, never, got = Drain(), asyncio.Event(), []
    let_go = asyncio.Event()

    async def source() -> AsyncIterator[int]:
        try:
            async for item in counted(2, then=never):
                yield item
        finally:
            let_go.set()

    async def read() -> None:
        async for item in drain.until(source()):
            got.append(item)

    reading = asyncio.create_task(read())
    await asyncio.sleep(QUIET)
    drain.begin()
    with pytest.raises(ServiceError) as ended:
        await reading
    assert (got, ended.value.reason) == ([0, 1], "SERVER_STOPPING")
    await asyncio.wait_for(let_go.wait(), 5)


async def test_a_watch_of_the_server_goes_on_until_all_else_has_ended() -> None:
    drain, never = Drain(), asyncio.Event()

    async def watch() -> None:
        await never.wait()

    watching = asyncio.create_task(drain.until_done(watch()))
    drain.begin()
    await asyncio.sleep(0)
    assert not watching.done()
    await drain.finish(60)
    with pytest.raises(ServiceError):
        await watching


async def test_an_error_of_the_source_passes_as_it_is() -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise LookupError("its own")

    stream = Drain().until(broken())
    assert await anext(stream) == 1
    with pytest.raises(LookupError, match="its own"):
        await anext(stream)


async def test_a_message_that_does_not_come_is_waited_for_as_long_as_it_may_and_not_beyond_the_drain() -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    drain = Drain()
    with pytest.raises(ServiceError) as late:
        await drain.arriving(never(), QUIET)
    assert late.value.reason == "DEADLINE"
    waiting = asyncio.create_task(drain.arriving(never(), 600))
    await asyncio.sleep(0)
    drain.begin()
    await asyncio.wait_for(drain.finish(600), 60)  # it is not under way
    with pytest.raises(ServiceError) as stopped:
        await asyncio.wait_for(waiting, 60)
    assert stopped.value.reason == "SERVER_STOPPING"
    assert not drain._arriving
