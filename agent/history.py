"""Rolling digest of an episode's history, which identifies the memory state that a step is appended to.

digest(empty history of an agent) = H(agent digest); digest(history + step) = H(digest(history), the step's vocabulary rows).
Two histories with the same digest contain the same words in the same order for the same agent.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 16


def words_needed(length: int | None, steps: int, words_per_step: int) -> int | None:
    """Words of the last `steps` steps of a history of `length` words; None (no length) where all steps have equally many."""
    return None if length is None else min(length, steps * words_per_step)


@dataclass(frozen=True)
class MemoryStep:
    """One step of one episode: append `vocabulary_rows` to the history that has `history_digest`.

    length: words of that history; None where each of its steps has as many as this one.
    """

    episode_id: str
    step: int
    vocabulary_rows: tuple[int, ...]  # in the order in which the language model reads them
    history_digest: bytes
    length: int | None = None

    @property
    def words_before(self) -> int:
        """Words of the history before the step."""
        return self.step * len(self.vocabulary_rows) if self.length is None else self.length


@dataclass(frozen=True)
class MemoryVector:
    """The memory vector of an episode after a step, float32 (dimension,), and the digest of its history with that step."""

    vector: NDArray[np.float32]
    history_digest: bytes


def empty_history(agent_digest: str) -> bytes:
    """Returns the digest of the history of an episode without steps."""
    return _hash(b"shelm-history:" + agent_digest.encode())


def extend_history(digest: bytes, vocabulary_rows: Sequence[int]) -> bytes:
    """Returns the digest after one more step with these vocabulary rows."""
    return _hash(digest + struct.pack(f"<{len(vocabulary_rows)}I", *vocabulary_rows))


def extend_seen(digest: bytes, fingerprint: bytes) -> bytes:
    """Returns the digest after one more step of an agent without words: its history is the frames that it has seen."""
    return _hash(digest + fingerprint)


def history_reach(layers: int, window: int) -> int:
    """Returns how many tokens before a token can influence its memory vector: layers * (window - 1).

    With the token itself that is (layers - 1)(window - 1) + window, the bound of docs/paper.md#reach.
    """
    return layers * (window - 1)


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
