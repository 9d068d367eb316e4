"""How the agreement of paths is counted: forced words go on from the reference's history, free ones from their own."""

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from agent.history import MemoryStep, MemoryVector, extend_history
from agent.memory.slots import MemorySlots
from benchmarks.agreement import PAIRS, REFERENCE, ComputePath, Episodes, paths, share


class Slots:
    """A memory whose vector is the list of all words of the episode."""

    def __init__(self) -> None:
        self.words: dict[bytes, list[int]] = {}

    def remember(self, steps: Sequence[MemoryStep]) -> list[MemoryVector]:
        (step,) = steps
        history = extend_history(step.history_digest, step.vocabulary_rows)
        self.words[history] = [*self.words.get(step.history_digest, []), *step.vocabulary_rows]
        return [MemoryVector(np.array(self.words[history], np.float32), history)]

    def encode_history(self, rows: Sequence[int]) -> NDArray[np.float32]:
        return np.array(rows, np.float32)


def vectors(steps: list[tuple[tuple[int, ...], tuple[int, ...]]]) -> list[list[float]]:
    memory = Episodes(cast(MemorySlots, Slots()), "digest")
    memory.begin()
    return [memory.vector(own, remembered=kept).tolist() for own, kept in steps]


def test_a_forced_step_has_its_own_words_after_those_of_the_reference() -> None:
    assert vectors([((1,), (1,)), ((9,), (2,)), ((3,), (3,))]) == [[1], [1, 9], [1, 2, 3]]


def test_a_free_step_has_the_paths_own_words_throughout() -> None:
    assert vectors([((1,), (1,)), ((9,), (9,)), ((3,), (3,))]) == [[1], [1, 9], [1, 9, 3]]


def test_the_next_episode_begins_without_words() -> None:
    memory = Episodes(cast(MemorySlots, Slots()), "digest")
    for _ in range(2):
        memory.begin()
        assert memory.vector((1, 2), remembered=(1, 2)).tolist() == [1, 2]


def test_every_path_differs_from_the_reference_and_a_gpus_float32_is_one() -> None:
    assert paths("cpu", ["float32/float32", "float32/float16"]) == [ComputePath("cpu", "float32", "float16")]
    assert paths("cuda", ["float32/float32"]) == [ComputePath("cuda")]
    assert REFERENCE not in paths("cpu", PAIRS)


def test_a_share_counts_equal_pairs() -> None:
    assert share([(1,), (2,), (3,), (4,)], [(1,), (2,), (3,), (5,)]) == 0.75
