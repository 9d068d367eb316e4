"""Runs the CNN of the actor-critic on each distinct patch once, because frames of grid worlds are made of a few tiles.

A convolution computes the same function of every patch under its kernel. In MiniGrid about 130 distinct frames of a rollout
(22,000 patches under the first kernel) have about 150 distinct patches, so both convolutions become small matrix products
whose results are gathered. Features and gradients are those of `ActorCritic.encode` up to the order of float32 sums.

Failure policy: raises no errors of its own; frames that share few patches get no `SharedPatches`.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, relu

from agent.policy.actor_critic import ActorCritic
from training.distinct import distinct

SAMPLE = 32  # frames that decide whether patches are shared
SHARED = 8  # patches per distinct patch from which sharing pays: gathering costs about as much as a small convolution


class SharedPatches:
    """The distinct patches of some frames under both kernels of a CNN, and where they are; contains no weights."""

    def __init__(self, pixels: Tensor, corners: Tensor, places: Tensor) -> None:
        """pixels: float32 (patches, 3 * kernel * kernel) in [0, 1], under the first kernel. corners: int64 (patches, kernel
        * kernel), rows of `pixels` under the second kernel. places: int64 (frames, positions), rows of `corners`.
        """
        self._pixels, self._corners, self._places = pixels, corners, places

    @classmethod
    def of(cls, served: ActorCritic, frames: Tensor) -> "SharedPatches | None":
        """Returns the patches of frames uint8 (frames, 3, height, width); None if the first frames share too few."""
        first, second = _convolutions(served)
        if len(frames) > SAMPLE:
            patches = _patches(frames[:SAMPLE], first)
            if len(distinct(patches)[0]) * SHARED > len(patches):
                return None
        patches = _patches(frames, first)
        _, kept, rows = distinct(patches)
        side = (frames.shape[2] - first.kernel_size[0]) // first.stride[0] + 1
        corners = _patches(rows.view(len(frames), 1, side, -1), second)
        _, kept_corners, places = distinct(corners.view(torch.uint8))
        return cls(patches[kept].float() / 255, corners[kept_corners], places.view(len(frames), -1))

    def encode(self, served: ActorCritic, frames: Tensor) -> Tensor:
        """Returns float32 (rows, features), as `ActorCritic.encode`, of frames given as int64 (rows,) in `of`'s order."""
        first, second = _convolutions(served)
        maps = relu(linear(self._pixels, first.weight.flatten(1), first.bias))
        under = maps.index_select(0, self._corners.flatten()).view(len(self._corners), -1)
        maps = relu(linear(under, second.weight.permute(0, 2, 3, 1).flatten(1), second.bias))
        places = self._places[frames]
        flat = maps.index_select(0, places.flatten()).view(*places.shape, -1).transpose(1, 2).flatten(1)
        out: Tensor = served.cnn[1:](flat)
        return out


def _convolutions(served: ActorCritic) -> tuple[Any, Any]:
    layers: Any = served.cnn[0]
    return layers[0], layers[2]


def _patches(images: Tensor, convolution: Any) -> Tensor:
    """Returns what the kernel sees at each position, (images * positions, channels * kernel * kernel), of images (images,
    channels, height, width).
    """
    (height, width), (down, right) = convolution.kernel_size, convolution.stride
    windows = images.unfold(2, height, down).unfold(3, width, right)
    return windows.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2).contiguous()
