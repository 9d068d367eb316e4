"""Pillow's resize of 8-bit pictures, as two matrix products: the same pixels bit by bit, for a whole batch, on any device.

Pillow resizes columns, then rows; each pass multiplies by a table of weights in fixed point (22 bits), adds one half, and
cuts the result to 0..255 (libImaging/Resample.c of python-pillow/Pillow). The sums stay below 2**35, so float64 holds them
exactly, whatever the order in which a device adds. Where the rows shrink, and more than the columns do, Pillow 13 may resize
rows first, which rounds otherwise; `columns_first` is false there, and Pillow itself must be asked.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Filter = Literal["bicubic", "bilinear"]
_BITS = 22
_SUPPORT = {"bicubic": 2.0, "bilinear": 1.0}


def _weight(x: NDArray[np.float64], kind: Filter) -> NDArray[np.float64]:
    x = np.abs(x)
    if kind == "bilinear":
        return np.select([x < 1.0], [1.0 - x])
    near, far = (1.5 * x - 2.5) * x * x + 1, (((x - 5) * x + 8) * x - 4) * -0.5  # a = -0.5
    weights: NDArray[np.float64] = np.select([x < 1.0, x < 2.0], [near, far])
    return weights


def _fixed_point(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normalises the weights of one pixel and rounds them half away from zero."""
    scaled = weights / sum(weights.tolist()) * (1 << _BITS)
    rounded: NDArray[np.float64] = np.trunc(scaled + np.copysign(0.5, scaled))
    return rounded


def resize_matrix(before: int, after: int, kind: Filter) -> Tensor:
    """Returns Pillow's weights from `before` to `after` pixels: float64 (after, before), whole numbers of 1 / 2**22."""
    scale = before / after
    stretch = max(scale, 1.0)
    support, table = _SUPPORT[kind] * stretch, np.zeros((after, before))
    for row in range(after):
        centre = (row + 0.5) * scale
        first = max(math.trunc(centre - support + 0.5), 0)
        last = min(math.trunc(centre + support + 0.5), before)
        places = np.arange(last - first, dtype=np.float64) + first - centre + 0.5
        table[row, first:last] = _fixed_point(_weight(places * (1.0 / stretch), kind))
    return torch.from_numpy(table)


def _cut(sums: Tensor) -> Tensor:
    return sums.add_(1 << (_BITS - 1)).div_(1 << _BITS).floor_().clamp_(0, 255)


def columns_first(before: tuple[int, int], after: tuple[int, int]) -> bool:
    """Returns whether Pillow surely resizes columns before rows; sizes are (height, width)."""
    return after[0] >= before[0] or after[1] * before[0] <= after[0] * before[1]


class ExactResize:
    """Resizes pictures of one size to another, (height, width) both, as Pillow does where `columns_first`, on `device`."""

    def __init__(self, before: tuple[int, int], after: tuple[int, int], kind: Filter, device: torch.device) -> None:
        self.rows, self.columns = (
            None if old == new else resize_matrix(old, new, kind).to(device) for old, new in zip(before, after, strict=True)
        )

    def __call__(self, pictures: Tensor) -> Tensor:
        """Resizes uint8 (rows, 3, height, width)."""
        values = pictures.double()
        if self.columns is not None:
            values = _cut(values @ self.columns.T)
        if self.rows is not None:
            values = _cut(self.rows @ values)
        return values.to(torch.uint8)
