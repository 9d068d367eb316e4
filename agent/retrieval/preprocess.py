"""Converts frames to the input of a CLIP image tower, with the model's own preprocessing.

- `model` (default): open_clip's inference transform: PIL's resize (antialiased), centre crop, normalisation. If a frame
  already has the model's size, resize and crop have no effect, and the whole batch is normalised at once, with bit-identical
  results (tests/unit/agent/test_retrieval.py).
- `reference` (docs/paper.md#preprocessing): the authors' preprocessing: frames as float tensors in [0, 1], bicubic resize of
  the shorter side without antialiasing and without clamping the overshoot, centre crop, normalisation. Runs on the device.

Failure: the caller validates the frames; an unknown mode raises ValueError.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import center_crop, resize

from agent.frame import Frame

Mode = Literal["model", "reference"]
MODES: tuple[Mode, ...] = ("model", "reference")


class Preprocessing:
    """Converts frames of one size into float32 (rows, 3, height, width) for the model, on `device`."""

    def __init__(self, *, cfg: dict[str, Any], mode: Mode, device: torch.device) -> None:
        if mode not in MODES:
            raise ValueError(f"preprocessing: expected one of {MODES}, got {mode!r}")
        self.cfg, self.mode, self.device = PreprocessCfg(**cfg), mode, device
        size = self.cfg.size
        self.size = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        self.transform = image_transform_v2(self.cfg, is_train=False)

    def __call__(self, frames: list[Frame]) -> Tensor:
        """Converts frames uint8 (height, width, 3), all of the same size."""
        if self.mode == "reference":
            return self._reference(frames)
        if frames[0].shape[:2] == self.size:
            return self._normalised(self._pixels(frames))
        return torch.stack([self.transform(Image.fromarray(frame)) for frame in frames]).to(self.device)

    def _pixels(self, frames: list[Frame]) -> Tensor:
        """Stacks the frames as float32 (rows, 3, height, width) in [0, 1]."""
        stacked = torch.from_numpy(np.stack(frames)).to(self.device)
        return stacked.permute(0, 3, 1, 2).contiguous().float().div(255)

    def _normalised(self, pixels: Tensor) -> Tensor:
        # torchvision's normalize, without its look at the values of `std`, for which a GPU would have to wait.
        mean, std = (torch.tensor(part, device=pixels.device)[:, None, None] for part in (self.cfg.mean, self.cfg.std))
        return pixels.sub(mean).div(std)

    def _reference(self, frames: list[Frame]) -> Tensor:
        # float32 where the authors used float16 (docs/paper.md#q18: ties flip with precision)
        resized = resize(self._pixels(frames), [min(self.size)], InterpolationMode.BICUBIC, antialias=False)
        return self._normalised(center_crop(resized, list(self.size)))
