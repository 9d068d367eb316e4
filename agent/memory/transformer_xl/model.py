"""Transformer-XL, the paper's language model, with its past cached as projected keys and values.

Computes the same as the published TransfoXLModel (docs/paper.md#memory): `same_length` attention over `window` positions,
with one shared encoding for all distances beyond `clamp_len`. The published code projects the whole window again at every
step; here every position is projected once and cached in its slot. This is exact, because a position's layer inputs never
change. Positions before the first word have zero keys and values and are attended to (docs/paper.md#q23), unless
`empty_visible` is off. There is no dropout, the module stays in eval mode, and all weights are frozen.

Failure policy: invalid sizes raise ValueError in the constructor. `step` and `rebuild` validate nothing: a slot must have
been cleared before its first step, and wrong shapes raise torch's own errors. Both run in inference mode: a caller that
needs gradients downstream must clone the result first. Not safe for concurrent calls on one cache.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from agent.history import history_reach
from agent.memory.language_model import SlotCache, reachable

REBUILD_CHUNK = 128  # positions projected and attended at once; bounds the scores to (heads, 128, window + 127)


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


class Layer(nn.Module):
    """One layer: relative attention, then two dense maps; each of the two blocks adds its input and applies layer norm."""

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
        """Returns the layer's output (rows, q, d_model) for its input `hidden`.

        queries: (rows, heads, q, head_dim). keys, values: (rows, heads, n, head_dim), of all visible positions. distances:
        int64 (rows, q, n), within the window. positional: (heads, window, head_dim), this layer's R_d. seen: bool (rows, q,
        n).
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


class TransformerXL(nn.Module):
    """The frozen model, an implementation of `LanguageModel` over a table of word embeddings.

    embeddings: (words, d_model), the output of the adaptive embedding, already multiplied by sqrt(d_model). stack: the
    layers to run, in order. window: `mem_len` in token positions. empty_visible: False masks the positions before the first
    word. Dtype and device are those of the embeddings; the layers are moved there.
    """

    positional: Tensor
    embeddings: Tensor

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
        self.empty_visible = empty_visible
        self.stack = nn.ModuleList(stack)
        encodings = sinusoids(window, dimension=config.d_model, clamp_len=config.clamp_len)
        with torch.inference_mode():
            positional = torch.stack([layer.split_heads(layer.position(encodings)) for layer in stack])
        self.register_buffer("positional", positional)  # (layers, heads, window, head_dim)
        self.register_buffer("embeddings", embeddings)
        self.to(device=embeddings.device, dtype=embeddings.dtype)
        self.eval().requires_grad_(False)

    def new_cache(self, slots: int) -> SlotCache:
        """Returns an empty cache with room for `slots` episodes."""
        return SlotCache(
            layers=self.layers,
            slots=slots,
            heads=self.heads,
            head_dim=self.head_dim,
            window=self.window,
            tokens_per_step=self.tokens_per_step,
            dtype=self.embeddings.dtype,
            device=self.embeddings.device,
        )

    def _relation(self, queries: Tensor, keys: Tensor) -> dict[str, Tensor]:
        """Returns the distances and the mask that `Layer.attend` needs, for positions (rows, q) and (rows, n)."""
        distances = queries[:, :, None] - keys[:, None, :]
        seen = reachable(queries, keys, window=self.window, empty_visible=self.empty_visible)
        return {"distances": distances.clamp(0, self.window - 1), "seen": seen}

    def _numbered(self) -> Iterator[tuple[int, Layer, Tensor]]:
        """Yields each layer with its number and its R_d (heads, window, head_dim)."""
        for number, layer in enumerate(self.stack):
            yield number, cast(Layer, layer), self.positional[number]

    @torch.inference_mode()
    def step(self, cache: SlotCache, slots: Tensor, lengths: Tensor, words: Tensor) -> Tensor:
        """Appends words to several episodes and returns their memory vectors; implements `LanguageModel.step`.

        words: int64 (rows, q), 1 <= q <= tokens_per_step. Returns float32 (rows, d_model).
        """
        device = self.embeddings.device
        slots, lengths, words = slots.to(device), lengths.to(device), words.to(device)
        hidden = self.embeddings[words]
        positions = lengths[:, None] + torch.arange(words.shape[1], device=words.device)
        relation = self._relation(positions, cache.held_positions(lengths + words.shape[1]))
        for number, layer, positional in self._numbered():
            queries, keys, values = layer.project(hidden)
            cache.write(number, slots, positions, keys, values)
            keys, values = cache.read(number, slots)
            hidden = layer.attend(hidden, queries=queries, keys=keys, values=values, positional=positional, **relation)
        return hidden[:, -1].float()

    @torch.inference_mode()
    def rebuild(self, cache: SlotCache, slot: int, length: int, words: Tensor) -> None:
        """Fills `slot` with the state after `length` tokens; implements `LanguageModel.rebuild`.

        Works layer by layer: each layer computes only the outputs that the layers above can still reach, the last one none.
        The ring then holds the last `window - 1` positions, the only ones that a later query sees. The working memory is
        that of one layer: 3 * d_model numbers per token, for at most `history_reach` tokens.
        """
        cache.clear(slot)
        reached = words[max(0, len(words) - history_reach(self.layers, self.window)) :]
        hidden = self.embeddings[reached.to(self.embeddings.device)][None]
        for number, layer, positional in self._numbered():
            outputs = min(hidden.shape[1], history_reach(self.layers - 1 - number, self.window))
            keys, values = self._pass(layer, positional, hidden, length=length, outputs=outputs)
            kept = torch.arange(max(length - self.window + 1, length - hidden.shape[1]), length, device=hidden.device)
            recent = slice(keys.shape[2] - len(kept), None)
            at = torch.full((1,), slot, device=hidden.device)
            cache.write(number, at, kept[None], keys[:, :, recent], values[:, :, recent])
            hidden = hidden[:, hidden.shape[1] - outputs :]

    def _pass(self, layer: Layer, positional: Tensor, hidden: Tensor, *, length: int, outputs: int) -> tuple[Tensor, Tensor]:
        """Runs one layer in chunks over `hidden` (1, n, d_model), the inputs of the last n of `length` positions.

        The last `outputs` positions of `hidden` are overwritten with the layer's output (and a few before them, because
        chunks are processed whole). Returns keys and values (1, heads, window - 1 + n, head_dim), zero for the positions
        before the n.
        """
        past, n = self.window - 1, hidden.shape[1]
        keys = hidden.new_zeros(1, self.heads, past + n, self.head_dim)
        values = torch.zeros_like(keys)
        for start in range(0, n, REBUILD_CHUNK):
            stop = min(start + REBUILD_CHUNK, n)
            here, reach = slice(past + start, past + stop), slice(start, past + stop)
            queries, keys[:, :, here], values[:, :, here] = layer.project(hidden[:, start:stop])
            if stop > n - outputs:
                positions = torch.arange(length - n + start - past, length - n + stop, device=hidden.device)[None]
                hidden[:, start:stop] = layer.attend(
                    hidden[:, start:stop],
                    queries=queries,
                    keys=keys[:, :, reach],
                    values=values[:, :, reach],
                    positional=positional,
                    **self._relation(positions[:, past:], positions),
                )
        return keys, values
