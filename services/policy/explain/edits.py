"""Edits of words: what a memory would hold if other words had been seen.

Contract: pure. A history is the words of consecutive steps. Edits are done one after the other; a word is changed where its
text stands, and a word that comes is the first of its text in the vocabulary. A word that takes another's place has that
one's similarity, an inserted one 0. Steps stay, also those without words.

Failure policy: INVALID_ARGUMENT with the path of the field: a word that the vocabulary lacks, a step that may not be edited,
a word that the named step does not hold.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from agent.vocabulary import Word
from services.protocol.values import Edit, Insert, Remove, Replace, Swap
from services.runtime.errors import invalid

Steps = Mapping[int, Sequence[Word]]  # words by step, oldest first
SHOWN = 64  # characters of a word in an error


def edited(steps: Steps, edits: Sequence[Edit], rows: Mapping[str, int], *, editable: range, field: str) -> Steps:
    """The words after the edits.

    rows: of the vocabulary, by the text of their words. editable: the steps that may be named, all of them among `steps`.
    field: path of the edits.
    """
    now = dict(steps)
    for i, edit in enumerate(edits):
        _Editing(now, rows, editable, f"{field}[{i}]").apply(edit)
    return now


def changed_steps(before: Steps, after: Steps) -> list[tuple[int, Sequence[Word]]]:
    """The steps whose words are others now, with these."""
    return [(step, words) for step, words in after.items() if tuple(words) != tuple(before[step])]


class _Editing:
    """One edit of `steps`, which are changed."""

    def __init__(self, steps: dict[int, Sequence[Word]], rows: Mapping[str, int], editable: range, field: str) -> None:
        self._steps, self._rows, self._editable, self._field = steps, rows, editable, field

    def apply(self, edit: Edit) -> None:
        if isinstance(edit, Remove):
            self._remove(edit)
        elif isinstance(edit, Replace):
            self._replace(edit)
        elif isinstance(edit, Insert):
            self._insert(edit)
        else:
            self._swap(edit)

    def _remove(self, edit: Remove) -> None:
        if edit.word:
            self._row(edit.word, "remove.word")
        for step in self._at(edit.step, edit.word, "remove"):
            self._steps[step] = [word for word in self._steps[step] if edit.word and word.text != edit.word]

    def _replace(self, edit: Replace) -> None:
        self._row(edit.word, "replace.word")
        row = self._row(edit.replacement, "replace.replacement")
        for step in self._at(edit.step, edit.word, "replace"):
            self._map(step, lambda word: (row, edit.replacement) if word.text == edit.word else (word.row, word.text))

    def _insert(self, edit: Insert) -> None:
        word = Word(self._row(edit.word, "insert.word"), edit.word, 0.0)
        self._named(edit.step, "insert")
        self._steps[edit.step] = [*self._steps[edit.step], word]

    def _swap(self, edit: Swap) -> None:
        places = {edit.word: "swap.other", edit.other: "swap.word"}
        pair = {one: (self._row(two, places[one]), two) for one, two in ((edit.word, edit.other), (edit.other, edit.word))}
        for step in [one for one, words in self._steps.items() if any(word.text in pair for word in words)]:
            self._map(step, lambda word: pair.get(word.text, (word.row, word.text)))

    def _map(self, step: int, other: Callable[[Word], tuple[int, str]]) -> None:
        """Gives each word of a step the row and text of another."""
        now = []
        for word in self._steps[step]:
            row, text = other(word)
            now.append(replace(word, row=row, text=text))
        self._steps[step] = now

    def _at(self, step: int | None, word: str, kind: str) -> Sequence[int]:
        """The steps to change: the named one, which must hold the word if there is one, or all."""
        if step is None:
            return list(self._steps)
        self._named(step, kind)
        held = [one.text for one in self._steps[step]]
        if word and word not in held:
            text = f"expected a word of step {step}, which holds {', '.join(held) or 'none'}, got {_shown(word)}"
            raise invalid(f"{self._field}.{kind}.word", text)
        return [step]

    def _named(self, step: int, kind: str) -> None:
        if step not in self._editable:
            steps = f"{self._editable.start}..{self._editable.stop - 1}" if self._editable else "none, as there are none"
            raise invalid(f"{self._field}.{kind}.step", f"expected a step of the history: {steps}, got {step}")

    def _row(self, word: str, place: str) -> int:
        if word not in self._rows:
            raise invalid(f"{self._field}.{place}", f"expected a word of the agent's vocabulary, got {_shown(word)}")
        return self._rows[word]


def _shown(word: str) -> str:
    return repr(word if len(word) <= SHOWN else word[:SHOWN] + "...")
