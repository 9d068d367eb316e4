"""A floor below which words become neutral, and how well the similarity tells which words a perturbation changes."""

import numpy as np
import pytest

from agent.vocabulary import Word
from training.clip.floor import Floored, separation


class Given:
    """Retrieves what it was given: one word a frame, as similar as the frame's first value is, of 100."""

    words = ("key", "floor")

    def retrieve(self, frames: list[np.ndarray]) -> list[list[Word]]:
        return [[Word(0, "key", frame.flat[0] / 100)] * 2 for frame in frames]


def test_words_below_the_floor_become_neutral_and_the_others_stay() -> None:
    frames = [np.full((2, 2, 3), value, np.uint8) for value in (10, 30, 29)]
    floored = Floored(Given(), floor=0.3, neutral="floor")  # type: ignore[arg-type]
    assert [[word.text for word in found] for found in floored.retrieve(frames)] == [
        ["floor", "floor"],
        ["key", "key"],
        ["floor", "floor"],
    ]
    with pytest.raises(ValueError, match="--neutral: expected a word of the agent's vocabulary, got 'wall'"):
        Floored(Given(), floor=0.3, neutral="wall")  # type: ignore[arg-type]


def test_separation_is_the_area_under_the_curve() -> None:
    similarity = np.array([0.1, 0.2, 0.3, 0.4])
    assert separation(similarity, np.array([True, True, False, False])) == 1
    assert separation(similarity, np.array([False, True, False, True])) == 0.25
    assert separation(np.array([0.1, 0.1]), np.array([True, False])) == 0.5
    assert separation(similarity, np.zeros(4, bool)) is None
