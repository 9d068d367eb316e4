"""What retrieval answers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retrieved:
    """One word of a frame: its row in the vocabulary, its text, its cosine similarity in [-1, 1]."""

    row: int
    text: str
    similarity: float
