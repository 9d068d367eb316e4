"""Attention of a few queries: the plain path, which every faster one must equal."""

import torch
from torch import Tensor
from torch.nn import functional


def attend(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
    """Softmax attention of scaled queries; rows and heads are one dimension.

    queries: (rows * heads, q, head_dim). keys, values: (rows * heads, n, head_dim). bias: (rows * heads, q, n), added to the
    scores; None: nothing.
    """
    if queries.dtype != torch.float32 or queries.device.type != "cpu":
        return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=bias, scale=1.0)
    # The library's kernel for the CPU is slower for the few queries of a step: it is made for many.
    transposed = keys.transpose(1, 2)
    scores = torch.bmm(queries, transposed) if bias is None else torch.baddbmm(bias, queries, transposed)
    return torch.bmm(scores.softmax(-1), values)
