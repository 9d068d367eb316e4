"""`LocalMemory`: rebuilds let other episodes' steps between, outlive their callers, and are computed together."""

import asyncio
import time
from collections.abc import Iterator

import pytest
import torch
from support.slots import AGENT, SAME, VOCABULARY, Words, asking, flat, llama, relative_error, some_words

from agent.history import MemoryStep, MemoryVector
from agent.memory.slots import MemorySlots, SlotMiss
from services.agent_settings import AgentSettings
from services.memory import engine
from services.memory.engine import LocalMemory
from services.runtime.errors import ServiceError
from services.runtime.settings import load_settings

WINDOW, STEPS = 200, 700  # several chunks in each of three layers
HISTORY = some_words(STEPS, 1)
SUBJECT = llama(WINDOW, 1)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def memory() -> LocalMemory:
    slots = MemorySlots(language_model=SUBJECT.model, vocabulary_size=VOCABULARY, agent_digest=AGENT, slots=8)
    return LocalMemory(slots, load_settings(AgentSettings))


async def computed(memory: LocalMemory, step: MemoryStep) -> MemoryVector | SlotMiss | BaseException:
    """One step."""
    (outcome,) = await memory.put([step], deadline=None)
    return outcome


def last_step(name: str, history: list[Words]) -> tuple[MemoryStep, Words]:
    """The last step of a history, and the words before it."""
    return asking(name, history[:-1], history[-1]), flat(history[:-1])


async def test_steps_of_other_episodes_are_computed_between_the_chunks_of_a_rebuild(
    memory: LocalMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SLICE", 0.0)
    rebuild = asyncio.create_task(memory.rebuild(*last_step("long", HISTORY), deadline=None))
    live, taken = some_words(40, 1, seed=1), 0
    while not rebuild.done():
        answer = await computed(memory, asking("live", live[:taken], live[taken]))
        taken += 1
        assert isinstance(answer, MemoryVector)
        assert relative_error(answer.vector, SUBJECT.vector(flat(live[:taken]))) <= SAME
    assert taken > 3
    assert relative_error((await rebuild).vector, SUBJECT.vector(flat(HISTORY))) <= SAME


async def test_a_rebuild_that_outlasts_its_caller_is_found_by_the_next_try(memory: LocalMemory) -> None:
    step, words = last_step("long", HISTORY)
    for _ in range(2):
        with pytest.raises(ServiceError) as caught:
            await memory.rebuild(step, words, deadline=time.monotonic())
        assert caught.value.reason == "DEADLINE"
    joined = await memory.rebuild(step, words, deadline=None)
    assert relative_error(joined.vector, SUBJECT.vector(flat(HISTORY))) <= SAME
    found = await computed(memory, step)
    assert isinstance(found, MemoryVector)
    counts = await memory.counts()
    assert (counts.rebuilds, counts.repeats) == (1, 1)


async def test_rebuilds_that_are_needed_at_once_are_computed_together(memory: LocalMemory) -> None:
    histories = {f"episode-{n}": some_words(n, 1, seed=n) for n in (2, 40, 250, 260)}
    first = asyncio.create_task(memory.rebuild(*last_step("first", HISTORY), deadline=None))
    await asyncio.sleep(0)
    tasks = [memory.rebuild(*last_step(name, history), deadline=None) for name, history in histories.items()]
    answers = await asyncio.gather(first, *tasks)
    for history, answer in zip([HISTORY, *histories.values()], answers, strict=True):
        assert relative_error(answer.vector, SUBJECT.vector(flat(history))) <= SAME
    assert (await memory.counts()).rebuilds == 5


async def test_an_invalid_history_fails_alone(memory: LocalMemory) -> None:
    step, words = last_step("good", HISTORY)
    bad, few = last_step("bad", HISTORY)[0], words[:1]
    answers = await asyncio.gather(
        memory.rebuild(bad, few, deadline=None), memory.rebuild(step, words, deadline=None), return_exceptions=True
    )
    assert str(answers[0]).startswith("history: expected")
    assert isinstance(answers[1], MemoryVector)
    assert isinstance(await computed(memory, bad), SlotMiss)


async def test_histories_are_encoded_between_the_steps_of_episodes(memory: LocalMemory) -> None:
    histories = [flat(some_words(n, 1, seed=n)) for n in (1, 2, 300, 17)]
    live = some_words(1, 1, seed=5)
    vectors, answer = await asyncio.gather(
        memory.encode_histories(histories, deadline=None), computed(memory, asking("live", [], live[0]))
    )
    for words, vector in zip(histories, vectors, strict=True):
        assert relative_error(vector, SUBJECT.vector(words)) <= SAME
    assert isinstance(answer, MemoryVector)
    with pytest.raises(ServiceError):
        await memory.encode_histories([flat(HISTORY)], deadline=time.monotonic())
