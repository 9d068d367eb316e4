"""Stacked frames: what a policy sees of them, and what the state between two steps holds."""

from collections.abc import Sequence

import numpy as np
import pytest

from agent.wordless.policy import Decided, Item, StackedFrames

SHAPE = (2, 3, 1)


class Seen:
    """Notes what it is given; its own state counts steps."""

    state_bytes = 1

    def __init__(self) -> None:
        self.items: list[Item] = []

    def decide(self, items: Sequence[Item]) -> list[Decided | Exception]:
        self.items = list(items)
        return [(np.zeros(1, np.float32), 0.0, bytes([(state or b"\0")[0] + 1])) for _, state in items]


def frame(number: int) -> np.ndarray:
    return np.full(SHAPE, number, np.uint8)


@pytest.mark.parametrize(("start", "before"), [("zeros", 0), ("first", 1)])
def test_the_oldest_frame_comes_first_and_the_state_holds_the_earlier_ones(start: str, before: int) -> None:
    inner = Seen()
    stacked = StackedFrames(inner, shape=SHAPE, count=3, start=start)  # type: ignore[arg-type]
    assert stacked.state_bytes == 2 * 6 + 1
    state = b""
    for number, expected in ((1, [before, before, 1]), (2, [before, 1, 2]), (3, [1, 2, 3]), (4, [2, 3, 4])):
        (decided,) = stacked.decide([(frame(number), state)])
        assert not isinstance(decided, Exception)
        state = decided[2]
        assert inner.items[0][0][0, 0].tolist() == expected
        assert len(state) == stacked.state_bytes
        assert state[-1] == number


def test_what_fails_for_one_item_stays_its_own() -> None:
    class Half(Seen):
        def decide(self, items: Sequence[Item]) -> list[Decided | Exception]:
            return [ValueError("no"), *super().decide(items[1:])]

    failed, decided = StackedFrames(Half(), shape=SHAPE, count=2, start="zeros").decide([(frame(1), b""), (frame(2), b"")])
    assert isinstance(failed, ValueError)
    assert not isinstance(decided, Exception)
