"""Weights stored in two bytes, with arithmetic in float32: `float16` on the CPU.

A step of few episodes reads every weight once and computes little with it, so on processors without instructions for
two-byte numbers it is this storage that counts: FBGEMM widens the weights on the way to the registers. Rounding a weight to
float16 changes it by at most 1 / 2048 of itself.

Failure policy: RuntimeError from torch where its build has no FBGEMM; `available` says so beforehand.
"""

from typing import Any

import torch
from torch import Tensor, nn


def available() -> bool:
    """Returns whether this torch can compute with such weights."""
    return "fbgemm" in torch.backends.quantized.supported_engines


class HalfLinear(nn.Module):
    """`nn.Linear` for the CPU with float16 weights; inputs, bias, sums and outputs are float32."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self._packed: Any = torch.ops.quantized.linear_prepack_fp16(linear.weight.detach(), linear.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., in_features) -> (..., out_features)."""
        outputs: Tensor = torch.ops.quantized.linear_dynamic_fp16(inputs, self._packed)
        return outputs


def halve(module: nn.Module, *names: str) -> None:
    """Replaces the linear maps `names` of a module, once: a module that several models share is left as it is."""
    for name in names:
        linear = getattr(module, name)
        if isinstance(linear, nn.Linear):
            setattr(module, name, HalfLinear(linear))
