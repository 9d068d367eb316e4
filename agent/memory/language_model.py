"""Interface of a frozen language model used as memory, and the cache that stores its slots.

A slot holds the projected keys and values of the last `window - 1 + k` token positions of one episode, as a ring: position p
is at index p mod capacity. Nothing else of the past is needed, because a query at position p attends to the positions p -
window + 1 .. p only (docs/paper.md#memory, `same_length`). The memory state is therefore a pure function of the words, and
`rebuild` recomputes it from the last `history_reach` of them.

Models keep only the embeddings of the vocabulary's words (docs/paper.md#q13); a word is identified by its row in the
vocabulary.

Failure policy: nothing is validated here; wrong shapes raise torch's own errors. Not safe for concurrent calls: a cache must
have one caller at a time.
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
        """Empties one slot: sets it to zeros, as before the first word of an episode."""
        self.keys[:, slot] = 0
        self.values[:, slot] = 0

    def held_positions(self, lengths: Tensor) -> Tensor:
        """Returns the token position at each ring index, (rows, capacity), for `lengths` (rows,) tokens written so far;
        negative if never written.
        """
        last = lengths[:, None] - 1
        index = torch.arange(self.capacity, device=lengths.device)
        return last - (last - index) % self.capacity

    def write(self, layer: int, slots: Tensor, positions: Tensor, keys: Tensor, values: Tensor) -> None:
        """Writes keys and values (rows, heads, q, head_dim) of `positions` (rows, q), q <= capacity, into slots (rows,)."""
        at = (slots[:, None], slice(None), positions % self.capacity)
        self.keys[layer][at] = keys.transpose(1, 2)
        self.values[layer][at] = values.transpose(1, 2)

    def read(self, layer: int, slots: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the whole rings of slots (rows,): keys and values, each (rows, heads, capacity, head_dim)."""
        return self.keys[layer].index_select(0, slots), self.values[layer].index_select(0, slots)


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    # numpy's zeros are pages that the system provides when they are first written; torch writes them all at once.
    bytes_ = np.zeros((*shape[:-1], shape[-1] * dtype.itemsize), np.uint8)
    return torch.from_numpy(bytes_).view(dtype)


def reachable(queries: Tensor, keys: Tensor, *, window: int, empty_visible: bool) -> Tensor:
    """Returns which keys each query attends to: positions (rows, q) and (rows, n) -> bool (rows, q, n).

    A query sees `window` positions, including its own. Positions before the first word (negative) are visible only with
    `empty_visible`, as in the reference code (docs/paper.md#q23).
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
        """Appends one step's words to several episodes and returns their memory vectors.

        slots: int64 (rows,), distinct. lengths: int64 (rows,), tokens in each episode before this step. words: int64 (rows,
        tokens_per_step), vocabulary rows, read in this order. Returns float32 (rows, dimension): the last layer's output at
        the last word. Rows do not influence each other.
        """

    def rebuild(self, cache: SlotCache, slot: int, length: int, words: Tensor) -> None:
        """Fills `slot` with the state after an episode's first `length` tokens, in one chunked pass.

        words: int64 (n,), the last n of those `length` tokens; n = min(length, history_reach(layers, window)) is enough.
        """
