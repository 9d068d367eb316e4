"""The rolling digest of an episode's history: which memory state a step is appended to.

digest(empty history of an agent) = H(agent digest); digest(history + step) = H(digest(history), the step's word ids). Two
histories with the same digest hold the same words in the same order for the same agent.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES = 16


@dataclass(frozen=True)
class MemoryStep:
    """One step of one episode: append `vocabulary_rows` to the history with digest `history`."""

    episode_id: str
    step: int
    vocabulary_rows: tuple[int, ...]  # in feeding order
    history_digest: bytes


@dataclass(frozen=True)
class MemoryVector:
    """What an episode remembers after a step: float32 (dimension,), and the digest of its history now."""

    vector: NDArray[np.float32]
    history_digest: bytes


def empty_history(agent_digest: str) -> bytes:
    """Digest of the history of an episode that has no step yet."""
    return _hash(b"shelm-history:" + agent_digest.encode())


def extend_history(digest: bytes, vocabulary_rows: Sequence[int]) -> bytes:
    """Digest after one more step with these vocabulary rows."""
    return _hash(digest + struct.pack(f"<{len(vocabulary_rows)}I", *vocabulary_rows))


def history_reach(layers: int, window: int) -> int:
    """How many tokens before the next one can influence its memory vector: layers * (window - 1).

    With the token itself that is (layers - 1)(window - 1) + window, the bound of docs/paper.md#reach.
    """
    return layers * (window - 1)


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
