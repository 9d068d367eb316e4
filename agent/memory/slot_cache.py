"""The cache that stores the slots of a language model, and attention that reads it in place.

Failure policy: as in agent.memory.language_model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agent.memory.attention import attend
from agent.memory.ring_kernel import attend_rings, usable

COPIED = 2**18  # bytes of one slot in one layer, up to which copying several slots together beats many small products


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
        self.slot_shape = (layers, 2, heads, self.capacity, head_dim)  # of what `save` returns
        shape = (layers, 2, slots, heads, self.capacity, head_dim)
        self._store = _zeros(shape, dtype, torch.device(device))  # one tensor, so that one operation writes both
        self.keys, self.values, self.heads = self._store[:, 0], self._store[:, 1], heads
        self._layers = [_Layer(one, one[0].flatten(0, 1), one[1].flatten(0, 1)) for one in self._store]
        self._written: set[int] = set()
        self._copied = self.slot_bytes // layers <= COPIED or self._store.device.type != "cpu"
        self._in_kernel = self._store.device.type != "cpu" and usable(self._store.device, dtype)

    def clear(self, slot: int) -> None:
        """Empties one slot: sets it to zeros, as before the first word of an episode."""
        if slot in self._written or self._store.device.type != "cpu":
            self._store[:, :, slot] = 0
            self._written.discard(slot)

    def touch(self, slots: Sequence[int]) -> None:
        """Notes, on the CPU, that slots are about to be written: zeroing others would take memory, and time."""
        self._written.update(slots)

    def held_positions(self, lengths: Tensor) -> Tensor:
        """Returns the token position at each ring index, (rows, capacity), for `lengths` (rows,) tokens written so far;
        negative if never written.
        """
        last = lengths[:, None] - 1
        index = torch.arange(self.capacity, device=lengths.device)
        return last - (last - index) % self.capacity

    def places(self, slots: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Returns where `write` puts `positions` (rows, q), q <= capacity, of slots (rows,); the same in all layers."""
        return slots[:, None], positions % self.capacity

    def write(self, layer: int, places: tuple[Tensor, Tensor], new: Tensor) -> None:
        """Writes keys and values (rows, q, 2, heads, head_dim)."""
        slots, index = places
        self._layers[layer].store[:, slots, :, index] = new

    def restore(self, slots: Sequence[int], lengths: Sequence[int], states: Sequence[Tensor]) -> None:
        """Fills slots with rebuilt states: per layer (rows, 2, heads, window - 1, head_dim), of the positions just before
        each of `lengths`.
        """
        device = self._store.device
        for row, (slot, length) in enumerate(zip(slots, lengths, strict=True)):
            self.clear(slot)
            self.touch([slot])
            at = torch.arange(length - self.window + 1, length, device=device) % self.capacity
            for layer, state in enumerate(states):
                self._store[layer, :, slot].index_copy_(2, at, state[row])

    def save(self, slot: int) -> Tensor:
        """Copies a slot to the host's memory."""
        return self._store[:, :, slot].to("cpu", copy=True)

    def load(self, slot: int, saved: Tensor) -> None:
        """Fills a slot with what `save` returned."""
        self.touch([slot])
        self._store[:, :, slot].copy_(saved)

    def runs(self, slots: Sequence[int]) -> "list[Run]":
        """Groups ascending slots into runs of neighbours; a single run is read in place, without a copy."""
        runs: list[Run] = []
        for row, slot in enumerate(slots):
            if runs and slot == runs[-1].slot + runs[-1].rows:
                runs[-1].rows += 1
            else:
                runs.append(Run(row, slot, 1))
        return runs

    def attend(self, layer: int, slots: Tensor, runs: "Sequence[Run]", queries: Tensor, bias: Tensor | None) -> Tensor:
        """Attends from each row to its slot's whole ring; returns (rows * heads, q, head_dim).

        queries: (rows * heads, q, head_dim), scaled. bias: (rows * heads, q, capacity), added to the scores; None: nothing.
        runs: those of the slots, in the same order; without runs, and where slots are small, the rings are copied, unless
        the device has a kernel that reads them in place.
        """
        rings, heads = self._layers[layer], self.heads
        if self._in_kernel:
            return attend_rings(queries, rings.keys, rings.values, slots, bias, heads=heads)
        if len(runs) == 1:
            first = slice(runs[0].slot * heads, (runs[0].slot + runs[0].rows) * heads)
            return attend(queries, rings.keys[first], rings.values[first], bias)
        if not runs or self._copied:
            keys, values = self.keys[layer].index_select(0, slots), self.values[layer].index_select(0, slots)
            return attend(queries, keys.flatten(0, 1), values.flatten(0, 1), bias)
        attended = torch.empty_like(queries)
        for run in runs:
            rows = slice(run.row * heads, (run.row + run.rows) * heads)
            ring = slice(run.slot * heads, (run.slot + run.rows) * heads)
            part = bias if bias is None else bias[rows]
            attended[rows] = attend(queries[rows], rings.keys[ring], rings.values[ring], part)
        return attended


@dataclass(frozen=True)
class _Layer:
    """Views of one layer. store: (2, slots, heads, capacity, head_dim). keys, values: (slots * heads, capacity,
    head_dim).
    """

    store: Tensor
    keys: Tensor
    values: Tensor


@dataclass
class Run:
    """Rows `row`, `row + 1`, ... of a batch whose slots are `slot`, `slot + 1`, ..."""

    row: int
    slot: int
    rows: int


def reachable(queries: Tensor, keys: Tensor, *, window: int, empty_visible: bool) -> Tensor:
    """Returns which keys each query attends to: positions (rows, q) and (rows, n) -> bool (rows, q, n).

    A query sees `window` positions, including its own. Positions before the first word (negative) are visible only with
    `empty_visible`, as in the reference code (docs/paper.md#q23).
    """
    distance = queries[:, :, None] - keys[:, None, :]
    seen = (distance >= 0) & (distance < window)
    return seen if empty_visible else seen & (keys[:, None, :] >= 0)


def hidden_bias(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """Returns what hides positions when it is added to scores: 0 where `seen`, otherwise a number so low that its weight is
    0; not infinity, which would give a query that sees nothing NaN.
    """
    return torch.zeros_like(seen, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min / 2)


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    # numpy's zeros are pages that the system provides when they are first written; torch writes them all at once.
    bytes_ = np.zeros((*shape[:-1], shape[-1] * dtype.itemsize), np.uint8)
    return torch.from_numpy(bytes_).view(dtype)
