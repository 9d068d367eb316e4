"""What edits leave of a history."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.vocabulary import Word
from services.policy.explain.edits import changed_steps, edited
from services.protocol.values import Edit, Insert, Remove, Replace, Swap
from services.runtime.errors import ServiceError

ROWS = {"ball": 0, "key": 1, "box": 2}
HISTORY = {3: ["key", "ball"], 4: ["key", "key"], 5: ["box"]}


def words(steps: dict[int, list[str]]) -> dict[int, list[Word]]:
    """Words of similarity 0.5."""
    return {step: [Word(ROWS[text], text, 0.5) for text in texts] for step, texts in steps.items()}


def after(*edits: Edit, steps: dict[int, list[str]] = HISTORY) -> dict[int, list[str]]:
    found = edited(words(steps), edits, ROWS, editable=range(4, 6), field="edits")
    assert all(ROWS[word.text] == word.row for one in found.values() for word in one)
    return {step: [word.text for word in one] for step, one in found.items()}


@pytest.mark.parametrize(
    ("edit", "changed"),
    [
        (Remove("key"), {3: ["ball"], 4: []}),
        (Remove("key", 4), {4: []}),
        (Remove("", 5), {5: []}),
        (Replace("key", "box"), {3: ["box", "ball"], 4: ["box", "box"]}),
        (Replace("box", "key", 5), {5: ["key"]}),
        (Insert("ball", 5), {5: ["box", "ball"]}),
        (Swap("key", "ball"), {3: ["ball", "key"], 4: ["ball", "ball"]}),
    ],
)
def test_one_edit(edit: Edit, changed: dict[int, list[str]]) -> None:
    assert after(edit) == {**HISTORY, **changed}
    found = edited(words(HISTORY), [edit], ROWS, editable=range(4, 6), field="edits")
    assert [step for step, _ in changed_steps(words(HISTORY), found)] == list(changed)


def test_each_edit_is_done_on_what_those_before_it_have_left() -> None:
    assert after(Replace("box", "key", 5), Remove("key")) == {3: ["ball"], 4: [], 5: []}
    assert after(Insert("ball", 5), Swap("ball", "box")) == {3: ["key", "box"], 4: ["key", "key"], 5: ["ball", "box"]}


def test_a_word_in_anothers_place_has_its_similarity_and_an_inserted_one_none() -> None:
    found = edited(words(HISTORY), [Replace("box", "key", 5), Insert("ball", 5)], ROWS, editable=range(4, 6), field="edits")
    assert [(word.row, word.similarity) for word in found[5]] == [(1, 0.5), (0, 0.0)]


@pytest.mark.parametrize(
    ("edit", "field", "told"),
    [
        (Remove("door"), "remove.word", "'door'"),
        (Remove("key", 3), "remove.step", "4..5, got 3"),
        (Remove("key", 6), "remove.step", "4..5, got 6"),
        (Remove("ball", 4), "remove.word", "which holds key, key, got 'ball'"),
        (Replace("door", "key"), "replace.word", "'door'"),
        (Replace("key", "door"), "replace.replacement", "'door'"),
        (Replace("key", "ball", 5), "replace.word", "which holds box, got 'key'"),
        (Insert("", 5), "insert.word", "''"),
        (Insert("key", 7), "insert.step", "4..5, got 7"),
        (Swap("key", "x" * 1000), "swap.other", "x" * 64 + "..."),
        (Swap("door", "key"), "swap.word", "'door'"),
    ],
)
def test_what_cannot_be_done_names_its_field(edit: Edit, field: str, told: str) -> None:
    with pytest.raises(ServiceError) as caught:
        after(Swap("key", "key"), edit)
    assert caught.value.field == f"edits[1].{field}"
    assert told in str(caught.value)
    assert len(str(caught.value)) < 300


TEXTS = st.lists(st.sampled_from(list(ROWS)), max_size=4)


@given(st.dictionaries(st.integers(4, 5), TEXTS, min_size=1), st.sampled_from(list(ROWS)), st.sampled_from(list(ROWS)))
def test_to_swap_twice_changes_nothing(steps: dict[int, list[str]], word: str, other: str) -> None:
    assert after(Swap(word, other), Swap(other, word), steps=steps) == steps
