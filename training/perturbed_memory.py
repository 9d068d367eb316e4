"""A memory that sees augmented frames, so that a policy learns to bear the words that are wrong now and then.

The policy's convolutions go on seeing the frames as they are: they bear perturbations as it is (docs/results/robustness.md),
and a rollout keeps few distinct frames (training.rollouts). Contract: frames are those of training.clip.augment, drawn from
one generator in the order of the steps. Failure policy: an unknown strength raises KeyError at the first frame.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from training.clip.augment import augment
from training.memory import Frames, Memory, Vectors


class PerturbedMemory:
    """Passes augmented frames on to `memory`. A resumed training draws anew, with the same seed."""

    def __init__(self, memory: Memory, *, strength: str, seed: int) -> None:
        self.dimension = memory.dimension
        self._memory, self._strength, self._rng = memory, strength, np.random.default_rng((seed, 1))

    def begin(self, row: int) -> None:
        """Begins an episode."""
        self._memory.begin(row)

    def remember(self, frames: Frames, rows: Sequence[int]) -> Vectors:
        """Appends the augmented frames."""
        return self._memory.remember(augment(self._strength, frames, self._rng), rows)

    def state_dict(self) -> dict[str, Tensor]:
        """Returns that of the memory."""
        return self._memory.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restores that of the memory."""
        self._memory.load_state_dict(state)
