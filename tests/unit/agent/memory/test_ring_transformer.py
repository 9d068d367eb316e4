"""Rows in any order of their slots, in runs of neighbours or scattered, give the same vectors; so do batched rebuilds."""

import pytest
import torch
from support.slots import SAME, SUBJECTS, VOCABULARY, WINDOW, Make, relative_error
from torch import Tensor

from agent.history import history_reach
from agent.memory import slot_cache
from agent.memory.language_model import LanguageModel, finish


def words_of(rows: int, count: int, seed: int) -> Tensor:
    return torch.randint(VOCABULARY, (rows, count), generator=torch.Generator().manual_seed(seed))


def played(model: LanguageModel, slots: list[int], steps: int) -> Tensor:
    cache = model.new_cache(9)
    at, vectors = torch.tensor(slots), torch.empty(0)
    for step in range(steps):
        lengths = torch.full((len(slots),), step * model.tokens_per_step)
        vectors = model.step(cache, at, lengths, words_of(len(slots), model.tokens_per_step, step))
    return vectors


@pytest.mark.parametrize("copied", [0, 2**30])
@pytest.mark.parametrize("slots", [[0, 1, 2, 3], [3, 1, 0, 2], [7, 2, 3, 8], [0, 2, 4, 6]])
@pytest.mark.parametrize(("make", "k"), SUBJECTS)
def test_the_places_of_the_slots_do_not_matter(
    make: Make, k: int, slots: list[int], copied: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """copied: bytes up to which rings are copied together."""
    model = make(WINDOW, k).model
    expected = played(model, [4, 5, 6, 7], 2 * WINDOW)
    monkeypatch.setattr(slot_cache, "COPIED", copied)
    assert relative_error(played(model, slots, 2 * WINDOW).numpy(), expected.numpy()) <= SAME


@pytest.mark.parametrize(("make", "k"), SUBJECTS)
def test_histories_of_different_lengths_are_rebuilt_together_as_alone(make: Make, k: int) -> None:
    model = make(WINDOW, k).model
    lengths = [0, k, 3 * k, 40 * k]
    n = min(max(lengths), history_reach(model.layers, WINDOW))
    words = words_of(len(lengths), n, 1)
    together, alone = model.new_cache(4), model.new_cache(4)
    together.restore([2, 0, 3, 1], lengths, finish(model.rebuilding(torch.tensor(lengths), words)))
    for row, (slot, length) in enumerate(zip([2, 0, 3, 1], lengths, strict=True)):
        model.rebuild(alone, slot, length, words[row, n - min(length, n) :])
    assert relative_error(together.keys.numpy(), alone.keys.numpy()) <= SAME
    assert relative_error(together.values.numpy(), alone.values.numpy()) <= SAME


@pytest.mark.parametrize(("make", "k"), SUBJECTS)
def test_a_rebuild_touches_no_slot_before_its_end(make: Make, k: int) -> None:
    model = make(WINDOW, k).model
    chunks = model.rebuilding(torch.tensor([40 * k]), words_of(1, 40 * k, 1))
    assert next(chunks) is None
    assert len(finish(chunks)) == model.layers
