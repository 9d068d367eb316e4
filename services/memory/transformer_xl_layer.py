"""One layer of Transformer-XL, its sizes and its positional encodings: pure computation on tensors.

As in the published TransfoXLModel (paper-facts section 3): post layer norm, relative positions, position biases of its own,
no bias in the query/key/value, position and merging projections. Which positions a query sees is the caller's business.

Failure policy: nothing is checked; wrong shapes raise what torch raises. A new layer's weights are uninitialised where
torch leaves them so: load them before use.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class TransformerXLConfig:
    """Sizes, under the names of the published `config.json`; the defaults are transfo-xl-wt103 (paper-facts section 3)."""

    vocab_size: int = 267_735
    cutoffs: tuple[int, ...] = (20_000, 40_000, 200_000)
    div_val: int = 4
    d_embed: int = 1024
    d_model: int = 1024
    n_head: int = 16
    d_head: int = 64
    d_inner: int = 4096
    n_layer: int = 18
    clamp_len: int = 1000  # <= 0: distances are not clamped
    layer_norm_epsilon: float = 1e-5


def sinusoids(window: int, *, dimension: int, clamp_len: int) -> Tensor:
    """Float32 (window, dimension): the encoding of each distance 0 .. window - 1, sines before cosines."""
    distance = torch.arange(window, dtype=torch.float32)
    if clamp_len > 0:
        distance = distance.clamp(max=clamp_len)
    frequency = 1 / 10000 ** (torch.arange(0, dimension, 2, dtype=torch.float32) / dimension)
    angle = torch.outer(distance, frequency)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


class Layer(nn.Module):
    """One layer: relative attention, then two dense maps; each adds its input and normalises the sum."""

    def __init__(self, config: TransformerXLConfig) -> None:
        super().__init__()
        heads, head_dim, inner = config.n_head, config.d_head, config.n_head * config.d_head
        self.heads = heads
        self.scale = head_dim**-0.5
        self.queries_keys_values = nn.Linear(config.d_model, 3 * inner, bias=False)
        self.position = nn.Linear(config.d_model, inner, bias=False)  # the paper's W_r
        self.content_bias = nn.Parameter(torch.empty(heads, head_dim))  # its u, added to the query for content
        self.position_bias = nn.Parameter(torch.empty(heads, head_dim))  # its v, added to the query for positions
        self.merge_heads = nn.Linear(inner, config.d_model, bias=False)
        self.attention_norm = nn.LayerNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.widen = nn.Linear(config.d_model, config.d_inner)
        self.narrow = nn.Linear(config.d_inner, config.d_model)
        self.feed_forward_norm = nn.LayerNorm(config.d_model, eps=config.layer_norm_epsilon)

    def split_heads(self, projected: Tensor) -> Tensor:
        """(..., n, heads * head_dim) -> (..., heads, n, head_dim)."""
        return projected.view(*projected.shape[:-1], self.heads, -1).transpose(-2, -3)

    def project(self, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(rows, q, d_model) -> queries, keys and values, each (rows, heads, q, head_dim)."""
        queries, keys, values = self.queries_keys_values(hidden).chunk(3, dim=-1)
        return self.split_heads(queries), self.split_heads(keys), self.split_heads(values)

    def attend(
        self,
        hidden: Tensor,
        *,
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        distances: Tensor,
        positional: Tensor,
        seen: Tensor,
    ) -> Tensor:
        """The layer's output (rows, q, d_model) for its input `hidden`, given the projections of every position it can see.

        queries: (rows, heads, q, head_dim). keys, values: (rows, heads, n, head_dim). distances: int64 (rows, q, n), within
        the window. positional: (heads, window, head_dim), this layer's R_d. seen: bool (rows, q, n).
        """
        by_distance = (queries + self.position_bias[:, None]) @ positional.transpose(-1, -2)
        gathered = by_distance.gather(-1, distances[:, None].expand(-1, self.heads, -1, -1))
        bias = (gathered * self.scale).masked_fill(~seen[:, None], float("-inf"))
        attended = functional.scaled_dot_product_attention(
            queries + self.content_bias[:, None], keys, values, attn_mask=bias, scale=self.scale
        )
        merged: Tensor = self.attention_norm(hidden + self.merge_heads(attended.transpose(1, 2).flatten(-2)))
        output: Tensor = self.feed_forward_norm(merged + self.narrow(self.widen(merged).relu()))
        return output
