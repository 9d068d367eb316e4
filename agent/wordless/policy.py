"""What a policy without words is: the interface, and the one wrapper that gives it several frames at once.

Contract: a policy is a pure function of frames and states. Before the first step of an episode a state is empty bytes; after
that it is what the step before gave, always of `state_bytes` bytes. Failure policy: what fails for one item is an exception
in its place.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from agent.frame import Frame

Parameters = NDArray[np.float32]  # one row of agent.policy.heads
Decided = tuple[Parameters, float, bytes]  # parameters, value, the state after the step
Item = tuple[Frame, bytes]  # a frame uint8 (height, width, channels), the state before the step


class WordlessPolicy(Protocol):
    """Frames and states -> action parameters, values and the next states."""

    @property
    def state_bytes(self) -> int:
        """Bytes of a state; 0: it remembers nothing."""

    def decide(self, items: Sequence[Item]) -> list[Decided | Exception]:
        """Decides one step of each of several episodes."""


class StackedFrames:
    """Gives a policy the last `count` frames of an episode, side by side along the channels, the oldest first.

    As VecFrameStack of stable-baselines3 does. The earlier frames are part of the state. start: what stands for frames
    before the first: "zeros", as VecFrameStack has it, or the "first" frame, as gymnasium's FrameStackObservation.
    """

    def __init__(
        self, inner: WordlessPolicy, *, shape: tuple[int, int, int], count: int, start: Literal["zeros", "first"]
    ) -> None:
        """shape: (height, width, channels) of one frame."""
        self._inner, self._count, self._start = inner, count, start
        self._frame_bytes = int(np.prod(shape))

    @property
    def state_bytes(self) -> int:
        """Those of the earlier frames, then those of the policy."""
        return (self._count - 1) * self._frame_bytes + self._inner.state_bytes

    def decide(self, items: Sequence[Item]) -> list[Decided | Exception]:
        """Decides with the earlier frames from the state."""
        stacks = [self._frames(frame, state) for frame, state in items]
        at = (self._count - 1) * self._frame_bytes
        decided = self._inner.decide(
            [(np.concatenate(frames, axis=2), state[at:]) for frames, (_, state) in zip(stacks, items, strict=True)]
        )
        return [
            one if isinstance(one, Exception) else (*one[:2], _bytes_of(frames[1:]) + one[2])
            for one, frames in zip(decided, stacks, strict=True)
        ]

    def _frames(self, frame: Frame, state: bytes) -> list[Frame]:
        if not state:
            before = np.zeros_like(frame) if self._start == "zeros" else frame
            return [before] * (self._count - 1) + [frame]
        earlier = np.frombuffer(state, np.uint8, (self._count - 1) * self._frame_bytes)
        return [*earlier.reshape(self._count - 1, *frame.shape), frame]


def _bytes_of(frames: Sequence[Frame]) -> bytes:
    return b"".join(frame.tobytes() for frame in frames)
