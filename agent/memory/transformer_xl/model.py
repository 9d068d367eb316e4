"""Transformer-XL, the paper's language model, with its past cached as projected keys and values.

Computes the same as the published TransfoXLModel (docs/paper.md#memory): `same_length` attention over `window` positions,
with one shared encoding for all distances beyond `clamp_len`. The published code projects the whole window again at every
step; here every position is projected once and cached in its slot. This is exact, because a position's layer inputs never
change. Positions before the first word have zero keys and values and are attended to (docs/paper.md#q23), unless
`empty_visible` is off. There is no dropout, the module stays in eval mode, and all weights are frozen.

Failure policy: invalid sizes raise ValueError in the constructor; otherwise as in agent.memory.language_model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from agent.memory.half_weights import halve
from agent.memory.ring_transformer import RingTransformer, grouped
from agent.memory.slot_cache import hidden_bias, reachable


@dataclass(frozen=True, kw_only=True)
class TransformerXLConfig:
    """Sizes, named as in the published `config.json`; the defaults are those of transfo-xl-wt103 (docs/paper.md#memory)."""

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
    """Returns the encoding of each distance 0 .. window - 1: float32 (window, dimension), sines before cosines."""
    distance = torch.arange(window, dtype=torch.float32)
    if clamp_len > 0:
        distance = distance.clamp(max=clamp_len)
    frequency = 1 / 10000 ** (torch.arange(0, dimension, 2, dtype=torch.float32) / dimension)
    angle = torch.outer(distance, frequency)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


@dataclass(frozen=True)
class Relation:
    """distances: int64 (rows, 1, q, n), within the window. hidden: (rows, 1, q, n), `hidden_bias`, None if all is seen.
    positional: (layers, heads, window, head_dim), the R_d of each layer.
    """

    distances: Tensor
    hidden: Tensor | None
    positional: Tensor


class Layer(nn.Module):
    """One layer: relative attention, then two dense maps; each of the two blocks adds its input and applies layer norm."""

    def __init__(self, config: TransformerXLConfig) -> None:
        super().__init__()
        heads, head_dim, inner = config.n_head, config.d_head, config.n_head * config.d_head
        self.heads, self.scale = heads, head_dim**-0.5
        self.queries_keys_values = nn.Linear(config.d_model, 3 * inner, bias=False)
        self.position = nn.Linear(config.d_model, inner, bias=False)  # the paper's W_r
        self.content_bias = nn.Parameter(torch.empty(heads, head_dim))  # its u, added to the query for content
        self.position_bias = nn.Parameter(torch.empty(heads, head_dim))  # its v, added to the query for positions
        self.merge_heads = nn.Linear(inner, config.d_model, bias=False)
        self.attention_norm = nn.LayerNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.widen = nn.Linear(config.d_model, config.d_inner)
        self.narrow = nn.Linear(config.d_inner, config.d_model)
        self.feed_forward_norm = nn.LayerNorm(config.d_model, eps=config.layer_norm_epsilon)

    def positional(self, encodings: Tensor) -> Tensor:
        """Encodings (window, d_model) -> this layer's R_d, (heads, window, head_dim)."""
        projected = functional.linear(encodings, self.position.weight.float())
        return projected.view(len(encodings), self.heads, -1).transpose(0, 1)

    def project(self, hidden: Tensor, relation: Relation) -> tuple[Tensor, Tensor]:
        """Implements `Block.project`; the queries are not scaled yet."""
        rows, count, _ = hidden.shape
        projected: Tensor = self.queries_keys_values(hidden).view(rows, count, 3, self.heads, -1)
        return projected[:, :, 0], projected[:, :, 1:]

    def scores(self, queries: Tensor, relation: Relation, number: int) -> tuple[Tensor, Tensor | None]:
        """Implements `Block.scores`: the bias is the position term of every score."""
        rows, count = queries.shape[:2]
        by_head = ((queries + self.position_bias) * self.scale).permute(2, 0, 1, 3).flatten(1, 2)
        by_distance = (by_head @ relation.positional[number].transpose(1, 2)).view(self.heads, rows, count, -1)
        bias = by_distance.transpose(0, 1).gather(-1, relation.distances.expand(-1, self.heads, -1, -1))
        if relation.hidden is not None:
            bias = bias + relation.hidden
        return grouped((queries + self.content_bias) * self.scale, self.heads), bias.flatten(0, 1)

    def halve(self) -> None:
        """Stores the weights that a step reads in float16 (agent.memory.half_weights)."""
        halve(self, "queries_keys_values", "merge_heads", "widen", "narrow")

    def finish(self, hidden: Tensor, attended: Tensor) -> Tensor:
        """Implements `Block.finish`."""
        merged: Tensor = self.attention_norm(hidden + self.merge_heads(attended))
        output: Tensor = self.feed_forward_norm(merged + self.narrow(self.widen(merged).relu_()))
        return output


class TransformerXL(RingTransformer[Relation]):
    """The frozen model, an implementation of `LanguageModel` over a table of word embeddings.

    embeddings: (words, d_model), the output of the adaptive embedding, already multiplied by sqrt(d_model). stack: the
    layers to run, in order. window: `mem_len` in token positions. empty_visible: False masks the positions before the first
    word. Dtype and device are those of the embeddings; the layers are moved there.
    """

    positional: Tensor

    def __init__(
        self,
        *,
        config: TransformerXLConfig,
        embeddings: Tensor,
        stack: Sequence[Layer],
        window: int,
        tokens_per_step: int,
        empty_visible: bool = True,
    ) -> None:
        super().__init__()
        if not stack or window < 1 or tokens_per_step < 1:
            sizes = f"{len(stack)} layers, window {window}, {tokens_per_step} tokens per step"
            raise ValueError(f"a model needs at least one of each: {sizes}")
        if embeddings.ndim != 2 or embeddings.shape[1] != config.d_model:
            raise ValueError(f"embeddings: expected (words, {config.d_model}), got {tuple(embeddings.shape)}")
        self.layers, self.window, self.tokens_per_step = len(stack), window, tokens_per_step
        self.dimension, self.heads, self.head_dim = config.d_model, config.n_head, config.d_head
        self.empty_visible, self.clamp_len = empty_visible, config.clamp_len
        self.stack = nn.ModuleList(stack)
        encodings = sinusoids(window, dimension=config.d_model, clamp_len=config.clamp_len)
        with torch.inference_mode():
            positional = torch.stack([layer.positional(encodings) for layer in stack])
        self.register_buffer("positional", positional)  # (layers, heads, window, head_dim)
        self.register_buffer("embeddings", embeddings)
        self.to(device=embeddings.device, dtype=embeddings.dtype)
        self.eval().requires_grad_(False)

    def relation(self, queries: Tensor, keys: Tensor, *, all_seen: bool = False) -> Relation:
        """Implements `RingTransformer.relation`."""
        distances = (queries[:, :, None] - keys[:, None, :]).clamp(0, self.window - 1)
        ring = keys.shape[1] == self.window and queries.shape[1] == 1  # exactly the window, perhaps with empty positions
        if all_seen or (self.empty_visible and ring):
            return Relation(distances[:, None], None, self.positional)
        seen = reachable(queries, keys, window=self.window, empty_visible=self.empty_visible)
        return Relation(distances[:, None], hidden_bias(seen, self.embeddings.dtype)[:, None], self.positional)

    def output(self, hidden: Tensor) -> Tensor:
        """Implements `RingTransformer.output`: as it is."""
        return hidden
