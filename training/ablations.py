"""What an agent's memory is deprived of while it is evaluated.

| edit | |
| --- | --- |
| none | nothing |
| emptied | everything is forgotten before every step |
| swapped | two words are exchanged, as they come |
| neutral | both become a third, neutral word, as they come |

Emptying measures whether the agent works without any memory; swapped words, whether it acts by what they say; neutral words,
what it does without them while the rest of its memory stays as it is. Failure policy: ValueError names a word that the
agent's vocabulary lacks.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from training.agents import Agent, MemoryAgent
from training.memory import Edit, EditedMemory

WORD_EDITS = ("swapped", "neutral")


@dataclass(frozen=True)
class Ablation:
    """An edit of an agent's memory. words: what it does to those of a step, of an agent that remembers words; before: the
    step from which on they are no longer edited.
    """

    edit: str = "none"
    words: Edit | None = None
    before: int | None = None

    def prepare(self, agent: Agent, row: int, step: int) -> None:
        """Edits the memory of the episode in a row before this step."""
        if self.edit == "emptied":
            agent.begin(row)
        if self.words is None:
            return
        assert isinstance(agent, MemoryAgent)
        assert isinstance(agent.memory, EditedMemory)
        agent.memory.edits.pop(row, None)
        if self.before is None or step < self.before:
            agent.memory.edits[row] = self.words


def add_words(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say which words are edited."""
    parser.add_argument("--words", nargs=2, default=["key", "ball"], help="that are swapped, or become neutral")
    parser.add_argument("--neutral", default="floor", help="a word that says nothing of the two")


def edit_of(name: str, words: Sequence[str], neutral: str, vocabulary: Sequence[str]) -> Edit:
    """Returns the edit of one step's words. name: one of WORD_EDITS; words: the two that are edited."""
    for word in (*words, neutral):
        if word not in vocabulary:
            raise ValueError(f"--words, --neutral: expected words of the agent's vocabulary, got {word!r}")
    (one, other), blank = map(vocabulary.index, words), vocabulary.index(neutral)
    becomes = {"swapped": {one: other, other: one}, "neutral": {one: blank, other: blank}}[name]
    return lambda found: tuple(becomes.get(row, row) for row in found)
