"""The interface of a frozen language model used as memory, and the cache that its slots live in.

A slot holds the projected keys and values of the last `window - 1 + k` token positions of one episode, as a ring: the
position p lies at index p mod capacity. Nothing else of the past is needed, because a query at position p attends to the
positions p - window + 1 .. p and to no other (docs/paper.md#memory, `same_length`). The memory state is therefore a pure
function of the words, and `rebuild` computes it again from the last `history_reach` of them.

Models keep the embeddings of the vocabulary's words only (docs/paper.md#q13): a word is named by its row in the vocabulary.

Failure policy: nothing here fails on its own account; wrong shapes raise what torch raises. Not safe for concurrent
calls: one caller at a time owns a cache.
"""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class SlotCache:
    """Projected keys and values of many episodes, one ring per slot.

    `keys` and `values`: (layers, slots, heads, capacity, head_dim) in the model's dtype, zero where nothing was written. On
    the CPU a slot takes memory only once it has been used. slot_bytes: what one slot then takes.
    """

    def __init__(
        self,
        *,
        layers: int,
        slots: int,
        heads: int,
        head_dim: int,
        window: int,
        tokens_per_step: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.window = window
        # A step writes its k tokens before it attends, and the first of them still needs the window - 1 positions before.
        self.capacity = window - 1 + tokens_per_step
        self.slot_bytes = 2 * layers * heads * self.capacity * head_dim * dtype.itemsize
        shape = (layers, slots, heads, self.capacity, head_dim)
        self.keys, self.values = (_zeros(shape, dtype, torch.device(device)) for _ in range(2))

    def clear(self, slot: int) -> None:
        """Empty one slot: zeros, as before the first word of an episode."""
        self.keys[:, slot] = 0
        self.values[:, slot] = 0

    def held_positions(self, lengths: Tensor) -> Tensor:
        """(rows,) tokens written so far -> (rows, capacity) the position at each ring index; negative: never written."""
        last = lengths[:, None] - 1
        index = torch.arange(self.capacity, device=lengths.device)
        return last - (last - index) % self.capacity

    def write(self, layer: int, slots: Tensor, positions: Tensor, keys: Tensor, values: Tensor) -> None:
        """Put keys and values (rows, heads, q, head_dim) of `positions` (rows, q), q <= capacity, into slots (rows,)."""
        at = (slots[:, None], slice(None), positions % self.capacity)
        self.keys[layer][at] = keys.transpose(1, 2)
        self.values[layer][at] = values.transpose(1, 2)

    def read(self, layer: int, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Whole rings of slots (rows,): keys and values, each (rows, heads, capacity, head_dim)."""
        return self.keys[layer].index_select(0, slots), self.values[layer].index_select(0, slots)


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    # numpy's zeros are pages that the system provides when they are first written; torch writes them all at once.
    bytes_ = np.zeros((*shape[:-1], shape[-1] * dtype.itemsize), np.uint8)
    return torch.from_numpy(bytes_).view(dtype)


def reachable(queries: Tensor, keys: Tensor, *, window: int, empty_visible: bool) -> Tensor:
    """Which keys a query attends to: (rows, q) and (rows, n) positions -> bool (rows, q, n).

    A query sees `window` positions, its own included. Positions before the first word (negative) are visible only with
    `empty_visible`, the reference code's behaviour (docs/paper.md#q23).
    """
    distance = queries[:, :, None] - keys[:, None, :]
    seen = (distance >= 0) & (distance < window)
    return seen if empty_visible else seen & (keys[:, None, :] >= 0)


class LanguageModel(Protocol):
    """A frozen transformer whose attention reaches `window` token positions."""

    layers: int
    window: int
    tokens_per_step: int
    dimension: int  # of the memory vector

    def new_cache(self, slots: int) -> SlotCache:
        """An empty cache with room for `slots` episodes."""

    def step(self, cache: SlotCache, slots: Tensor, lengths: Tensor, words: Tensor) -> Tensor:
        """Append one step's words to several episodes and return their memory vectors.

        slots: int64 (rows,), distinct. lengths: int64 (rows,), tokens in each episode before this step. words: int64
        (rows, tokens_per_step), vocabulary rows, fed in this order. Returns float32 (rows, dimension): the last layer's
        output at the last word. Rows never influence each other.
        """

    def rebuild(self, cache: SlotCache, slot: int, length: int, words: Tensor) -> None:
        """Make `slot` what it was after an episode's first `length` tokens, in one chunked pass.

        words: int64 (n,), the last n of those `length` tokens; n = min(length, history_reach(layers, window)) is enough.
        """
