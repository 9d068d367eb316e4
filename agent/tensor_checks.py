"""Checks of tensors that were read from files, and of sizes that files claim.

Failure policy: ValueError says which tensor, what was expected and what was found.
"""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn


def finite(tensor: Tensor, what: str) -> Tensor:
    """Returns the tensor, if it is of floating-point numbers, and none of them is NaN or infinite.

    what: file and name of it, for the error.
    """
    if tensor.dtype not in (torch.float32, torch.float16, torch.bfloat16, torch.float64):
        raise ValueError(f"{what}: expected floating-point numbers of 16 to 64 bits, got {tensor.dtype}")
    if not torch.isfinite(tensor).all():
        raise ValueError(f"{what}: expected finite numbers, there are others")
    return tensor


def check_finite_module(module: nn.Module, what: str) -> None:
    """Checks the floating-point tensors of a module that another library has read from files."""
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            finite(tensor, f"{what}: {name}")


def check_storage(tensor: Tensor, what: str) -> None:
    """Checks that a tensor of a torch file has bytes of its own: such files can show a few bytes as a tensor of any size."""
    if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
        raise ValueError(f"{what}: has fewer bytes than its shape {tuple(tensor.shape)} takes")


def check_size(module: nn.Module, files: Iterable[Path], what: str) -> None:
    """Checks that a module, built without memory on torch's meta device, is no larger than the files of its weights.

    Settings can claim any size in a few bytes, and libraries take the memory before they look at the weights. Weights have a
    byte or more for each number.
    """
    numbers = sum(tensor.numel() for tensor in module.state_dict().values())
    there = sum(file.stat().st_size for file in files)
    if numbers > there:
        raise ValueError(f"{what}: the settings describe {numbers} numbers, the weights have {there} bytes")


def check_lm_token_ids(lm_token_ids: Tensor, rows: int) -> None:
    """lm_token_ids: int64; each must be a row of a table with so many rows, and none counts from its end."""
    outside = lm_token_ids[(lm_token_ids < 0) | (lm_token_ids >= rows)]
    if len(outside):
        raise ValueError(f"lm_token_ids: expected 0..{rows - 1}, got {int(outside[0])}")
