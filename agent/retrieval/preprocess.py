"""Converts frames to the input of a CLIP image tower, in batches, with the model's own preprocessing.

- `model` (default): open_clip's inference transform: PIL's resize (antialiased), centre crop, normalisation; the results are
  bit-identical to it on the CPU (tests/unit/agent/test_retrieval.py). Pillow itself resizes on the CPU; on other
  devices the same pixels come from matrix products (agent.retrieval.resize), so that only 8-bit frames are sent there.
- `reference` (docs/paper.md#preprocessing): the authors' preprocessing: frames as float tensors in [0, 1], bicubic resize of
  the shorter side without antialiasing and without clamping the overshoot, centre crop, normalisation. Runs on the device.

A frame that already has the model's size is neither resized nor cropped. The rare settings `longest`, and `shortest` with a
size that is not square, go through open_clip's transform frame by frame, and only they import it.

Failure: the caller validates the frames; an unknown mode raises ValueError.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from agent.frame import Frame
from agent.retrieval.resize import ExactResize, Filter, columns_first

Mode = Literal["model", "reference"]
MODES: tuple[Mode, ...] = ("model", "reference")
_OPENAI = {"mean": (0.48145466, 0.4578275, 0.40821073), "std": (0.26862954, 0.26130258, 0.27577711)}  # open_clip's default
_PILLOW = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def _covering(height: int, width: int, side: int) -> tuple[int, int]:
    """Returns the size (height, width) with `side` pixels on the shorter side and the same proportions, rounded down."""
    if width <= height:
        return int(side * height / width), side
    return side, int(side * width / height)


def _centre(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """Cuts the centre of `size` out of (rows, 3, height, width), where torchvision's CenterCrop does."""
    top, left = (round((side - wanted) / 2) for side, wanted in zip(pictures.shape[2:], size, strict=True))
    return pictures[:, :, top : top + size[0], left : left + size[1]]


class Preprocessing:
    """Converts frames of one size into float32 (rows, 3, height, width) for the model, on `device`.

    cfg: open_clip's settings of the model, `preprocess_cfg`; what is missing has open_clip's default.
    """

    def __init__(self, *, cfg: dict[str, Any], mode: Mode, device: torch.device) -> None:
        if mode not in MODES:
            raise ValueError(f"preprocessing: expected one of {MODES}, got {mode!r}")
        self.cfg, self.mode, self.device = cfg, mode, device
        size = cfg.get("size", 224)
        self.size = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        self.filter: Filter = "bilinear" if cfg.get("interpolation") == "bilinear" else "bicubic"
        self.squash = cfg.get("resize_mode") == "squash"
        self.plain = self.squash or (cfg.get("resize_mode", "shortest") == "shortest" and self.size[0] == self.size[1])
        self._resizes: dict[tuple[int, int], ExactResize] = {}
        # torchvision's normalize, made once and without its look at the values of `std`, for which a GPU would have to wait.
        self.mean, self.std = (
            torch.tensor(cfg.get(name) or _OPENAI[name], device=device).reshape(3, 1, 1) for name in ("mean", "std")
        )

    def __call__(self, frames: list[Frame]) -> Tensor:
        """Converts frames uint8 (height, width, 3), all of the same size."""
        size = frames[0].shape[:2]
        if self.mode == "reference":
            return self._reference(self._on_device(frames))
        if size == self.size:
            return self._normalised(self._on_device(frames))
        if not self.plain:
            return self._transformed(frames)
        target = self.size if self.squash else _covering(size[0], size[1], self.size[0])
        return self._normalised(_centre(self._resized(frames, target), self.size))

    def _resized(self, frames: list[Frame], size: tuple[int, int]) -> Tensor:
        """Resizes frames to `size` (height, width): uint8 (rows, 3, height, width) on the device."""
        before = (frames[0].shape[0], frames[0].shape[1])
        if self.device.type != "cpu" and columns_first(before, size):
            if before not in self._resizes:
                self._resizes = {
                    before: ExactResize(before, size, self.filter, self.device)
                }  # an agent's frames have one size
            return self._resizes[before](self._on_device(frames))
        pictures = [Image.fromarray(frame).resize(size[::-1], _PILLOW[self.filter]) for frame in frames]
        return self._on_device([np.asarray(picture) for picture in pictures])

    def _on_device(self, frames: list[NDArray[np.uint8]]) -> Tensor:
        """Sends the frames in one copy: uint8 (rows, 3, height, width), with the channels last in memory."""
        stacked = torch.from_numpy(np.stack(frames))
        pinned = self.device.type == "cuda" and torch.cuda.is_available()  # then the CPU need not wait for the copy
        if pinned:
            stacked = stacked.pin_memory()
        return stacked.to(self.device, non_blocking=pinned).permute(0, 3, 1, 2)

    def _normalised(self, pictures: Tensor) -> Tensor:
        """uint8 in 0..255, or float in 0..1 -> float32 with the model's mean and deviation."""
        values = pictures if pictures.is_floating_point() else pictures.contiguous().float().div_(255)
        return values.sub(self.mean).div_(self.std)

    def _reference(self, pictures: Tensor) -> Tensor:
        # float32 where the authors used float16 (docs/paper.md#q18: ties flip with precision)
        values = pictures.contiguous().float().div_(255)
        size = _covering(values.shape[2], values.shape[3], min(self.size))
        if size != values.shape[2:]:
            values = interpolate(values, size, mode="bicubic", align_corners=False, antialias=False)
        return self._normalised(_cropped(values, self.size))

    def _transformed(self, frames: list[Frame]) -> Tensor:
        from open_clip.transform import PreprocessCfg, image_transform_v2

        transform = image_transform_v2(PreprocessCfg(**self.cfg), is_train=False)
        return torch.stack([transform(Image.fromarray(frame)) for frame in frames]).to(self.device)


def _cropped(values: Tensor, size: tuple[int, int]) -> Tensor:
    if values.shape[2] < size[0] or values.shape[3] < size[1]:
        from torchvision.transforms.functional import center_crop

        return center_crop(values, list(size))  # type: ignore[no-any-return]
    return _centre(values, size)
