"""The Triton model `memory` as tensors; both of its sides import this.

Inputs: OP uint8 (1,), EPISODE text (1,), STEP int64 (1,), WORDS int32 (k,), DIGEST uint8 (16,) of the history before, and
PAST int32 (n,): for a rebuild the history's last words, to imagine a history all of its words. Outputs: STATUS uint8 (1,),
VECTOR float32 (dimension,), AFTER uint8 (16,), NEEDED int32 (1,) steps for a rebuild or slots dropped, ERROR text (1,),
COUNTS int64 (6,).
"""

from dataclasses import astuple, dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensor = NDArray[Any]


class Op(IntEnum):
    """What is asked."""

    COUNTS = 0
    REMEMBER = 1  # with PAST: rebuild first
    FORGET = 2
    IMAGINE = 3  # PAST is the whole history; EPISODE, STEP, WORDS and DIGEST say nothing


class Status(IntEnum):
    """What was done."""

    DONE = 0
    SLOT_MISS = 1
    REFUSED = 2  # ERROR says why


@dataclass(frozen=True)
class Counts:
    """What the model's slots have seen since its start."""

    slots: int = 0
    used: int = 0
    hits: int = 0
    repeats: int = 0
    rebuilds: int = 0
    evictions: int = 0

    def tensor(self) -> Tensor:
        """int64 (6,)."""
        return np.array(astuple(self), np.int64)

    @staticmethod
    def of(tensor: Tensor) -> "Counts":
        """The reverse of `tensor`."""
        return Counts(*(int(value) for value in tensor))
