"""Words and features of frames seen lately: the same as without a cache, and no more than was asked for is kept."""

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from agent.frame import Observation
from agent.vocabulary import Word
from services.policy.caches import CachedEncoder, CachedRetrieval
from services.runtime.batching import Batcher

AGENTS = {"a" * 64: ("one", "a" * 16), "b" * 64: ("two", "b" * 16)}
FIRST, SECOND = AGENTS


def seen(number: int) -> Observation:
    return Observation.of(np.full((2, 2, 3), number, np.uint8))


class Words:
    """Retrieval whose word is the frame's number; frame 9 fails."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[int]]] = []

    async def words(
        self, agent_digest: str, observations: Sequence[Observation], *, deadline: float | None
    ) -> Sequence[Sequence[Word] | BaseException]:
        numbers = [int(one.frame[0, 0, 0]) for one in observations]
        self.asked.append((agent_digest, numbers))
        return [ValueError("bad") if n == 9 else (Word(n, agent_digest[0], n / 10),) for n in numbers]


@pytest.mark.parametrize("size", [0, 2, 100])
async def test_words_are_those_of_retrieval_whatever_is_kept(size: int) -> None:
    plain = Words()
    cached = CachedRetrieval(Words(), AGENTS, size=size, count_misses=False)
    for digest, numbers in [(FIRST, [1, 2]), (FIRST, [2, 3, 1]), (SECOND, [1]), (FIRST, [1, 1, 9, 4]), (FIRST, [9, 2])]:
        observations = [seen(number) for number in numbers]
        expected = await plain.words(digest, observations, deadline=None)
        found = await cached.words(digest, observations, deadline=None)
        assert [repr(one) for one in found] == [repr(one) for one in expected]


async def test_only_frames_not_seen_lately_are_asked_for_and_errors_are_not_kept() -> None:
    inner = Words()
    cached = CachedRetrieval(inner, AGENTS, size=2, count_misses=False)
    for numbers in ([1, 2], [1], [3], [2], [9], [9]):
        await cached.words(FIRST, [seen(number) for number in numbers], deadline=None)
    assert [numbers for _, numbers in inner.asked] == [[1, 2], [3], [2], [9], [9]]  # 2 was older than 1 when 3 came


async def test_features_are_those_of_the_encoder_and_are_computed_once() -> None:
    runs: list[list[int]] = []

    async def run(items: list[Observation]) -> list[Any]:
        numbers = [int(one.frame[0, 0, 0]) for one in items]
        runs.append(numbers)
        return [ValueError("bad") if n == 9 else np.full(3, n, np.float32) for n in numbers]

    encoder = CachedEncoder(Batcher(run, name="test"), size=10)
    for numbers in ([1, 2], [2, 1], [3, 1, 9], [9]):
        outcomes = await asyncio.wait_for(encoder.put([seen(number) for number in numbers]), 5)
        assert [isinstance(one, ValueError) or int(one[0]) for one in outcomes] == [n == 9 or n for n in numbers]
    assert runs == [[1, 2], [3, 9], [9]]
    assert (await encoder.submit(seen(3))).tolist() == [3, 3, 3]


async def test_frames_that_are_given_up_are_not_computed() -> None:
    runs: list[int] = []
    free = asyncio.Event()

    async def run(items: list[Observation]) -> list[Any]:
        runs.append(len(items))
        await free.wait()
        return [one.frame for one in items]

    encoder = CachedEncoder(Batcher(run, name="test"), size=10)
    running = encoder.put([seen(1)])
    await asyncio.sleep(0.01)
    encoder.put([seen(2), seen(3)]).cancel()
    await asyncio.sleep(0.01)
    free.set()
    await asyncio.wait_for(running, 5)
    await asyncio.sleep(0.01)
    assert runs == [1]
