"""Frame embeddings of HELM and HELMv2: one input vector of the language model per frame (docs/paper.md#baselines).

HELM, `FrozenHopfield`: a fixed Gaussian projection of the grey frame, then a Hopfield retrieval over all embeddings of the
language model: softmax of cosine similarities times `beta`, convex combination. One difference is deliberate: the mean is
always over channels, also for unusual frames (docs/paper.md#q3b).

HELMv2, `ClipInputs`: CLIP's image embedding, standardised per feature, then scaled and shifted to the per-feature statistics
of the language model's embeddings. The authors used the statistics of the current batch (docs/paper.md#q4); ours are
computed over the first `WARM_UP_FRAMES` frames of training and then fixed, so a row never depends on the others. Their CLIP
has as many features as their language model; where there are fewer, a fixed Gaussian projection precedes the
standardisation. The authors take the embedding as it is (`plain`); the runs of docs/results take it with length 1.

Both are pure functions of the frame once their statistics are fixed, and cache by frame. Failure policy: raises no errors of
its own.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agent.frame import frame_fingerprint

Frames = NDArray[np.uint8]
CACHED = 100_000  # frames; 576 floats each, 230 MB at most
WARM_UP_FRAMES = 40_960


def _gaussian(rows: int, columns: int, seed: int) -> Tensor:
    """Returns a fixed Gaussian projection (rows, columns) of variance 1/columns."""
    projection: Tensor = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) / columns**0.5
    return projection


class _Cached(nn.Module):
    """Computes each distinct frame once."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[bytes, Tensor] = {}

    def forward(self, frames: Frames) -> Tensor:
        """Converts frames uint8 (rows, height, width, 3) to float32 (rows, dimension)."""
        marks = [frame_fingerprint(frame) for frame in frames]
        new = {mark: at for at, mark in enumerate(marks) if mark not in self._known}
        if len(self._known) + len(new) > CACHED:
            self._known.clear()
            new = {mark: at for at, mark in enumerate(marks)}
        if new:
            computed = self.compute(frames[list(new.values())])
            self._known.update(zip(new, computed, strict=True))
        return torch.stack([self._known[mark] for mark in marks])

    def compute(self, frames: Frames) -> Tensor:
        """Does the same as `forward`, without the cache."""
        raise NotImplementedError


class FrozenHopfield(_Cached):
    """HELM's frame embedding."""

    def __init__(self, *, embeddings: Tensor, pixels: int, beta: float, seed: int = 0) -> None:
        """embeddings: float32 (tokens, dimension), all of the language model's. pixels: height * width of a frame. seed: of
        the projection.
        """
        super().__init__()
        self.beta = beta
        self._projection = _gaussian(embeddings.shape[1], pixels, seed).T.to(embeddings.device)
        self._embeddings, self._directions = embeddings, nn.functional.normalize(embeddings, dim=1)

    def compute(self, frames: Frames) -> Tensor:
        """Returns the mixture of embeddings most similar to the projected grey frame: float32 (rows, dimension)."""
        grey = torch.from_numpy(frames).to(self._projection.device).float().mean(dim=3).flatten(1) / 255
        query = nn.functional.normalize(grey @ self._projection, dim=1)
        return (self.beta * query @ self._directions.T).softmax(dim=1) @ self._embeddings


class ClipInputs(_Cached):
    """HELMv2's frame embedding. Buffers: count, mean and square (the running second moment) over the warm-up frames."""

    count: Tensor
    mean: Tensor
    square: Tensor

    def __init__(
        self,
        *,
        encode: Callable[[Frames], Tensor],
        features: int,
        embeddings: Tensor,
        plain: bool = False,
        seed: int = 0,
    ) -> None:
        """encode: frames -> float32 (rows, features), CLIP's image embedding. embeddings: as in `FrozenHopfield`.

        plain: take the image embedding as the authors do, not with length 1. seed: of the projection.
        """
        super().__init__()
        dimension = embeddings.shape[1]
        self._encode, self._plain = encode, plain
        same = torch.eye(dimension) if plain and dimension == features else _gaussian(dimension, features, seed).T
        self._projection = same.to(embeddings.device)
        self._target = embeddings.mean(0), embeddings.std(0)
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(dimension, dtype=torch.float64))
        self.register_buffer("square", torch.ones(dimension, dtype=torch.float64))
        self.to(embeddings.device)

    def forward(self, frames: Frames) -> Tensor:
        """Converts frames uint8 (rows, height, width, 3) to float32 (rows, dimension)."""
        projected = super().forward(frames)
        if self.count < WARM_UP_FRAMES:
            self._learn(projected.double())
        deviation = (self.square - self.mean**2).clamp_min(1e-8).sqrt()
        mean, scale = self._target
        return ((projected - self.mean) / deviation).float() * scale + mean

    def compute(self, frames: Frames) -> Tensor:
        """Returns CLIP's embeddings, projected but not yet standardised: float32 (rows, dimension)."""
        encoded = self._encode(frames)
        return (encoded if self._plain else nn.functional.normalize(encoded, dim=1)) @ self._projection

    def _learn(self, rows: Tensor) -> None:
        self.count += len(rows)
        share = len(rows) / self.count
        self.mean += share * (rows.mean(0) - self.mean)
        self.square += share * ((rows**2).mean(0) - self.square)
