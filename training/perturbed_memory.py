"""A memory that sees augmented frames in half of the episodes, so that a policy bears words that are wrong now and then.

The policy's convolutions go on seeing the frames as they are: they bear perturbations as it is (docs/results/robustness.md),
and a rollout keeps few distinct frames (training.rollouts). Contract: frames are those of training.clip.augment; they, and
which episodes are perturbed, are drawn from one generator in the order of the steps. With a strength that lasts, an episode
keeps the light, the noise and the encoding that it begins with, as a camera does; otherwise they are drawn for each frame.
Failure policy: an unknown strength raises KeyError.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
from torch import Tensor

from training.clip.augment import STRENGTHS, augmented, condition
from training.memory import Frames, Memory, Vectors
from training.perturbations import Perturbation

PERTURBED = 0.5  # of the episodes


class PerturbedMemory:
    """Passes augmented frames on to `memory`. A resumed training draws anew, with the same seed."""

    def __init__(self, memory: Memory, *, strength: str, seed: int) -> None:
        self.dimension = memory.dimension
        self._memory, self._limits, self._rng = memory, STRENGTHS[strength], np.random.default_rng((seed, 1))
        self._perturbations: dict[int, Perturbation | None] = {}

    def begin(self, row: int) -> None:
        """Begins an episode, and draws whether it is perturbed."""
        self._perturbations[row] = self._drawn() if self._rng.random() < PERTURBED else None
        self._memory.begin(row)

    def _drawn(self) -> Perturbation:
        return condition(self._limits, self._rng) if self._limits.lasts else partial(augmented, limits=self._limits)

    def remember(self, frames: Frames, rows: Sequence[int]) -> Vectors:
        """Appends the frames, augmented in the rows whose episodes are perturbed."""
        frames = frames.copy()
        for index, row in enumerate(rows):
            if perturb := self._perturbations[row]:
                frames[index] = perturb(frames[index], self._rng)
        return self._memory.remember(frames, rows)

    def state_dict(self) -> dict[str, Tensor]:
        """Returns that of the memory."""
        return self._memory.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restores that of the memory."""
        self._memory.load_state_dict(state)
