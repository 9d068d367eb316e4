"""The rollout buffer of PPO that keeps each distinct frame of a rollout once for the updates.

stable-baselines3's buffer copies the frames of every minibatch, most of which are repeated in grid worlds. Here the
observations of a minibatch contain the distinct frames of the whole rollout, always the same tensor, and each row's place
among them. Minibatches are the same rows in the same order. Failure policy: raises no errors of its own.
"""

from collections.abc import Generator
from typing import Any

import torch
from stable_baselines3.common.buffers import DictRolloutBuffer
from torch import Tensor

from training.distinct import distinct


class DistinctRolloutBuffer(DictRolloutBuffer):
    """Minibatches have `frame` uint8 (distinct frames of the rollout, 3, height, width), `row` int64 (rows, 1), the index of
    each step's frame in it, and `memory` float32 (rows, dimension).
    """

    _frames: Tensor

    def get(self, batch_size: int | None = None) -> Generator[Any, None, None]:
        """Yields minibatches; from the first call until the next rollout `observations` have `row` instead of `frame`."""
        if not self.generator_ready:
            frames = torch.from_numpy(self.observations.pop("frame"))
            _, first, rows = distinct(frames.flatten(0, 1))
            self._frames = frames.flatten(0, 1)[first].to(self.device)
            self.observations["row"] = rows.numpy().reshape(self.buffer_size, self.n_envs)
        yield from super().get(batch_size)

    def _get_samples(self, batch_inds: Any, env: Any = None) -> Any:
        samples = super()._get_samples(batch_inds, env)
        samples.observations["frame"] = self._frames
        return samples
