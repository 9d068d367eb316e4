"""Checks of tensors that were read from files.

Failure policy: ValueError says which tensor, what was expected and what was found.
"""

import torch
from torch import Tensor


def finite(tensor: Tensor, what: str) -> Tensor:
    """Returns the tensor, if it holds neither NaN nor an infinite number. what: file and name of it, for the error."""
    if not torch.isfinite(tensor).all():
        raise ValueError(f"{what}: expected finite numbers, there are others")
    return tensor


def check_lm_token_ids(lm_token_ids: Tensor, rows: int) -> None:
    """lm_token_ids: int64; each must be a row of a table with so many rows, and none counts from its end."""
    outside = lm_token_ids[(lm_token_ids < 0) | (lm_token_ids >= rows)]
    if len(outside):
        raise ValueError(f"lm_token_ids: expected 0..{rows - 1}, got {int(outside[0])}")
