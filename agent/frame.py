"""Frames: what an agent sees at one step, uint8 (height, width, 3) in RGB order."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]


def frame_fingerprint(frame: Frame) -> bytes:
    """Returns a 16-byte hash of shape and pixels; two frames are treated as the same if and only if their fingerprints are
    equal.
    """
    digest = hashlib.blake2b(repr(frame.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(frame).data)
    return digest.digest()


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """A frame together with its fingerprint, so that the fingerprint is computed only once."""

    frame: Frame
    fingerprint: bytes

    @classmethod
    def of(cls, frame: Frame) -> "Observation":
        """Creates an observation from a frame by computing its fingerprint."""
        return cls(frame, frame_fingerprint(frame))
