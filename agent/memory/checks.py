"""Validation of the steps that a memory receives, before they reach an engine.

Failure policy: an invalid step raises ValueError "FIELD: PROBLEM".
"""

from collections.abc import Sequence

from agent.history import DIGEST_BYTES, MemoryStep, empty_history

MOST_WORDS = 2**62  # positions are 64-bit integers


class StepCheck:
    """Validates the steps of one agent."""

    def __init__(self, *, tokens_per_step: int, vocabulary_size: int, agent_digest: str) -> None:
        self._tokens_per_step, self._vocabulary_size = tokens_per_step, vocabulary_size
        self.empty = empty_history(agent_digest)

    def __call__(self, step: MemoryStep) -> None:
        """Validates one step."""
        if len(step.vocabulary_rows) != self._tokens_per_step:
            raise ValueError(f"word_ids: expected {self._tokens_per_step} words, got {len(step.vocabulary_rows)}")
        self.words(step.vocabulary_rows)
        if step.step == 0 and step.history_digest != self.empty:
            raise ValueError("history_digest: step 0 follows the empty history, another digest was given")
        if step.length is not None and not 0 <= step.length <= MOST_WORDS:
            raise ValueError(f"length: expected 0..{MOST_WORDS}, got {step.length}")
        if len(step.history_digest) != DIGEST_BYTES:
            raise ValueError(f"history_digest: expected {DIGEST_BYTES} bytes, got {len(step.history_digest)}")

    def history(self, rows: Sequence[int]) -> None:
        """Validates a whole history: at least one word, all of them in the vocabulary."""
        if not rows:
            raise ValueError("word_ids: expected at least one word, got none")
        self.words(rows)

    def words(self, rows: Sequence[int]) -> None:
        """Checks that all rows are in the vocabulary."""
        for word in rows:
            if not 0 <= word < self._vocabulary_size:
                raise ValueError(f"word_ids: expected rows 0..{self._vocabulary_size - 1} of the vocabulary, got {word}")
