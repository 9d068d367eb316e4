"""Histories with words removed: what the memory would have held if something had not been seen.

Contract: pure. A history consists of the words within reach of a step's memory vector, oldest first, and ends with the
step's own words, which are never removed. Removed words leave no gap, and no older words move in. Ablations come in
the order of the steps in which their words were first seen.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from agent.vocabulary import Word
from services.protocol.values import CommittedStep

Rows = tuple[int, ...]  # of the vocabulary
Seen = tuple[int, Word]  # step and word


@dataclass(frozen=True)
class Ablation:
    """A history with some words removed."""

    words: tuple[Word, ...]  # that are removed
    steps: tuple[int, ...]  # in which they were seen
    rows: Rows  # what remains


@dataclass(frozen=True)
class History:
    """Words within reach: of earlier steps, and the step's own."""

    past: tuple[Seen, ...]
    own: Rows

    @property
    def rows(self) -> Rows:
        """All of them."""
        return self._without(())

    def without_each_word(self) -> list[Ablation]:
        """One ablation for each distinct word of earlier steps: all its occurrences are removed."""
        found: dict[int, list[Seen]] = {}
        for seen in self.past:
            found.setdefault(seen[1].row, []).append(seen)
        ablations = []
        for gone in found.values():
            clearest = max((word for _, word in gone), key=lambda word: word.similarity)
            ablations.append(Ablation((clearest,), tuple(dict.fromkeys(step for step, _ in gone)), self._without(gone)))
        return ablations

    def without_each_step(self, most: int) -> list[Ablation]:
        """One ablation for each of the latest `most` earlier steps: its words are removed."""
        groups = [(step, list(seen)) for step, seen in groupby(self.past, key=lambda seen: seen[0])]
        return [Ablation(tuple(word for _, word in gone), (step,), self._without(gone)) for step, gone in groups[-most:]]

    def _without(self, gone: Iterable[Seen]) -> Rows:
        left = {id(seen) for seen in gone}
        return (*(seen[1].row for seen in self.past if id(seen) not in left), *self.own)


def reach_from_step(step: int, *, tokens_per_step: int, reach: int) -> int:
    """The first step with a word among the `reach` words before the last word of `step`."""
    return max(0, (step + 1) * tokens_per_step - 1 - reach) // tokens_per_step


def history_of(steps: Sequence[tuple[int, CommittedStep]], *, reach: int) -> History:
    """The history of the last of `steps`, which are consecutive and begin at its `reach_from_step`."""
    *earlier, (_, last) = steps
    past = [(step, word) for step, record in earlier for word in record.words]
    out_of_reach = max(0, len(past) + len(last.words) - (reach + 1))
    return History(tuple(past[out_of_reach:]), tuple(word.row for word in last.words))
