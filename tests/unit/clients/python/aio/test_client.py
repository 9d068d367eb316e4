"""The asyncio client against the stand-in server of support/stand_in.py: the same methods and guarantees as Client."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterator

import grpc
import pytest
from shelm import Act, AsyncClient, AsyncEpisode, Client, Episode, errors
from support.stand_in import Failure, StandIn, frame, serving

UNAVAILABLE = Failure(grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def target(stand_in: StandIn) -> Iterator[str]:
    with serving(stand_in) as target:
        yield target


@pytest.fixture
async def client(target: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(target, retry_for=5.0) as client:
        yield client


async def until(seen: Callable[[], object]) -> None:
    """Waits, without holding up the event loop, for what the server's threads do."""
    async with asyncio.timeout(20):
        while not seen():  # noqa: ASYNC110  a thread's doing has no asyncio event
            await asyncio.sleep(0.01)


def public(kind: type) -> dict[str, list[inspect.Parameter]]:
    """The public methods of a class with what they take; the class itself by __init__."""
    members = inspect.getmembers(kind, inspect.isfunction)
    wanted = [(name, member) for name, member in members if not name.startswith("_") or name == "__init__"]
    return {name: list(inspect.signature(member).parameters.values()) for name, member in wanted}


def test_every_public_method_is_there_with_the_same_parameters() -> None:
    assert len(public(Client)) > 15
    assert public(AsyncClient) == public(Client)
    sync, other = public(Episode), public(AsyncEpisode)
    assert [p.name for p in other.pop("__init__")] == [p.name for p in sync.pop("__init__")]  # each takes its own client
    assert other == sync


async def test_a_call_that_the_server_cancels_is_repeated(client: AsyncClient, stand_in: StandIn) -> None:
    stand_in.before["Act"].append(Failure(grpc.StatusCode.CANCELLED))
    assert (await client.act(frame(0), "a")).step == 0
    assert len(stand_in.requests["Act"]) == 2


async def test_a_lost_reply_is_asked_for_again_and_counted_once(client: AsyncClient, stand_in: StandIn) -> None:
    stand_in.after["Act"].append(UNAVAILABLE)
    first, second = await client.act(frame(0), "a"), await client.act(frame(1), "a")
    assert (first.step, first.replayed, second.step, second.replayed) == (0, True, 1, False)
    assert [request.step for request in stand_in.requests["Act"]] == [0, 0, 1]


async def test_tasks_of_one_episode_take_distinct_steps_in_order_and_episodes_run_at_once(
    client: AsyncClient, stand_in: StandIn
) -> None:
    stand_in.before["Act"].append(Failure(grpc.StatusCode.UNAVAILABLE, pushback="1000"))
    slow = [asyncio.create_task(client.act(frame(number), "slow")) for number in range(5)]
    await until(lambda: stand_in.requests["Act"])
    assert (await client.act(frame(0), "fast")).step == 0
    assert not slow[0].done()  # it waits for the server's wish, and holds up nobody else
    assert [act.step for act in await asyncio.gather(*slow)] == [0, 1, 2, 3, 4]
    assert [data[0] for data, _ in stand_in.committed["slow"]] == [0, 1, 2, 3, 4]


async def test_a_cancelled_act_moves_nothing_and_can_be_repeated(client: AsyncClient, stand_in: StandIn) -> None:
    stand_in.after["Act"].append(Failure(grpc.StatusCode.UNAVAILABLE, pushback="4000"))  # committed; then it waits
    task = asyncio.create_task(client.act(frame(0), "a"))
    await until(lambda: stand_in.committed.get("a"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    again = await client.act(frame(0), "a")
    assert (again.step, again.replayed) == (0, True)


async def test_a_wait_holds_up_no_other_task(client: AsyncClient, stand_in: StandIn) -> None:
    stand_in.before["GetAgent"].append(Failure(grpc.StatusCode.UNAVAILABLE, pushback="300"))
    task, ticks = asyncio.create_task(client.agent()), 0
    while not task.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert (await task).name == "stand-in"
    assert ticks > 3


async def test_retries_end_with_the_budget(target: str, stand_in: StandIn) -> None:
    stand_in.before["Act"].extend([UNAVAILABLE] * 100)
    began = time.monotonic()
    async with AsyncClient(target, retry_for=0.5) as client:
        with pytest.raises(errors.Unavailable, match=r"after [2-9] attempts"):
            await client.act(frame(0), "a")
    assert time.monotonic() - began < 2.0


async def test_a_batch_gives_an_answer_or_an_error_for_each_episode(client: AsyncClient, stand_in: StandIn) -> None:
    await client.act(frame(0), "conflict")
    await client.end_episode("conflict", total_reward=0.5)
    stand_in.items.append(Failure(grpc.StatusCode.UNAVAILABLE, "MEMORY_UNAVAILABLE"))
    results = await client.act_batch({"good": frame(1), "conflict": frame(2), "unlucky": frame(3)})
    assert {name: type(result) for name, result in results.items()} == {
        "good": Act,
        "conflict": errors.StepConflict,
        "unlucky": Act,
    }
    assert len(stand_in.requests["ActBatch"]) == 2
    assert (await client.act(frame(4), "good")).step == 1
    assert (await client.get_episode("conflict")).total_reward == 0.5


async def test_an_episode_is_created_and_ended_around_its_block(client: AsyncClient, stand_in: StandIn) -> None:
    async with client.episode(seed=5) as episode:
        await episode.act(frame(0))
        episode.add_reward(2)
        assert [step.tokens[0].text async for step in episode.memory()] == ["doorway"]
        assert not (await episode.info()).ended
    assert (stand_in.ended, stand_in.totals) == ({episode.episode_id}, {episode.episode_id: 2.0})
    with pytest.raises(KeyError):
        async with client.episode("broken"):
            raise KeyError("the simulator broke")
    assert "broken" in stand_in.ended


async def test_reads_go_page_by_page_and_a_broken_watch_goes_on(client: AsyncClient, target: str, stand_in: StandIn) -> None:
    for number in range(4):
        await client.act(frame(number), "a")
        await client.create_episode(f"episode-{number}")
    stand_in.after["WatchMemory"].append(Failure(grpc.StatusCode.UNAVAILABLE))
    assert [step.step async for step in client.watch_memory("a")] == [0, 1, 2, 3]
    assert [step.step async for step in client.memory("a", 1)] == [1, 2, 3]
    assert len([episode async for episode in client.list_episodes()]) == 5
    assert (await client.frame("a", 3)).tolist() == frame(3).tolist()
    assert (await client.explain("a", 2)).words[0].tokens[0].text == "doorway"
    async with AsyncClient(target) as other:
        assert (await other.resume("a"), (await other.act(frame(9), "a")).step) == (4, 4)


async def test_a_wrong_frame_and_an_absent_server_are_typed_errors(client: AsyncClient) -> None:
    with pytest.raises(errors.InvalidArgument, match="expected a uint8 array"):
        await client.act("frame", "a")
    assert 0 < await client.ping() < 5
    async with AsyncClient("127.0.0.1:1") as nobody:
        with pytest.raises(errors.Unavailable, match=r"no answer from 127\.0\.0\.1:1"):
            await nobody.ping()


def test_a_client_may_be_made_before_its_event_loop(target: str) -> None:
    client = AsyncClient(target, token="secret")

    async def act() -> int:
        async with client:
            return (await client.act(frame(0), "a")).step

    assert asyncio.run(act()) == 0


def test_a_client_of_one_event_loop_says_so_in_another(target: str) -> None:
    client = AsyncClient(target)

    async def act(number: int) -> int:
        return (await client.act(frame(number), "a")).step

    assert asyncio.run(act(0)) == 0
    for call in (act(1), client.ping(), client.get_episode("a")):
        with pytest.raises(errors.OtherEventLoop, match=r"another event loop .*; make the AsyncClient inside the coroutine"):
            asyncio.run(call)
    asyncio.run(client.close())
    with pytest.raises(errors.ClientClosed):
        asyncio.run(act(1))
