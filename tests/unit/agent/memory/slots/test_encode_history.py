"""`MemorySlots.encode_history`: the memory vector of a history that need not exist, without touching a slot.

Compared with the same histories computed without slots (see support/slots.py), in float32, relative to the largest value.
"""

import numpy as np
import pytest
import torch
from support.slots import SAME, SUBJECTS, VISIBLE, WINDOW, Make, driver, flat, relative_error, some_words

from agent.history import history_reach


@pytest.mark.parametrize("steps", [1, 2, 5, 12, 40])
@pytest.mark.parametrize(("make", "k"), SUBJECTS)
def test_an_encoded_history_gives_the_vector_of_a_real_one(make: Make, k: int, steps: int) -> None:
    subject = make(WINDOW, k)
    words = flat(some_words(steps, k, seed=steps))
    encoded = driver(subject).slots.encode_history(words)
    assert encoded.dtype == np.float32
    assert relative_error(encoded, subject.vector(words)) <= SAME


@pytest.mark.parametrize("length", [1, 2, 3, 7, 30])
@pytest.mark.parametrize(("make", "k"), SUBJECTS[1::2])
def test_a_history_need_not_be_a_whole_number_of_steps(make: Make, k: int, length: int) -> None:
    words = flat(some_words(10, k))[:length]
    one_by_one = driver(make(WINDOW, 1))  # the same model, fed a word a step
    for word in words:
        [vector] = one_by_one.take(("episode", (word,)))
    assert relative_error(driver(make(WINDOW, k)).slots.encode_history(words), vector) <= SAME


@pytest.mark.parametrize(("make", "k"), SUBJECTS)
def test_words_beyond_the_reach_may_be_left_out_and_no_others(make: Make, k: int) -> None:
    subject = make(WINDOW, k)
    words, slots = flat(some_words(40, k)), driver(subject).slots
    enough = history_reach(subject.model.layers, WINDOW) + 1
    whole = slots.encode_history(words)
    assert relative_error(slots.encode_history(words[-enough:]), whole) <= SAME
    other = (words[-enough] + 1) % 23
    assert relative_error(slots.encode_history((other, *words[-enough + 1 :])), whole) > SAME


@pytest.mark.parametrize(("make", "k"), SUBJECTS)
def test_slots_and_counts_stay_as_they_are(make: Make, k: int) -> None:
    run = driver(make(WINDOW, k), slots=2)
    words = some_words(8, k)
    run.run("a", words[:6])
    run.run("b", words[2:7])
    held = run.slots._cache.keys.clone()
    counts = repr(run.slots.counts)
    for seed in range(3):
        run.slots.encode_history(flat(some_words(9, k, seed=seed)))
    assert torch.equal(run.slots._cache.keys, held)
    assert (repr(run.slots.counts), run.slots.counts.used) == (counts, 2)
    run.run("a", words[6:])  # checked against its own history
    assert run.slots.counts.rebuilds == 0


@pytest.mark.parametrize(("make", "k"), SUBJECTS)
def test_another_word_gives_another_vector(make: Make, k: int) -> None:
    slots, words = driver(make(WINDOW, k)).slots, flat(some_words(4, k))
    assert (
        relative_error(slots.encode_history((*words[:-2], (words[-2] + 1) % 23, words[-1])), slots.encode_history(words))
        > VISIBLE
    )


@pytest.mark.parametrize(("words", "problem"), [([], "at least one word"), ([1, 23], "got 23"), ([-1], "got -1")])
def test_a_history_that_cannot_be_is_refused(words: list[int], problem: str) -> None:
    make, k = SUBJECTS[0].values
    slots = driver(make(WINDOW, k)).slots  # type: ignore[operator]
    with pytest.raises(ValueError, match=f"^word_ids: .*{problem}"):
        slots.encode_history(words)
