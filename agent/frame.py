"""A frame: what an agent sees at one step, uint8 (height, width, 3) in RGB order."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]


def frame_fingerprint(frame: Frame) -> bytes:
    """16 bytes, a hash of shape and pixels: two frames count as the same frame exactly if their fingerprints are equal."""
    digest = hashlib.blake2b(repr(frame.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(frame).data)
    return digest.digest()


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """What an agent sees at one step: the frame, and its fingerprint, which is computed once."""

    frame: Frame
    fingerprint: bytes

    @classmethod
    def of(cls, frame: Frame) -> "Observation":
        """Computes the fingerprint."""
        return cls(frame, frame_fingerprint(frame))
