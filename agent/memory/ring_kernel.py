"""Attention over the rings of memory slots in one pass, for GPUs: a kernel in the Triton language.

Contract: `attend_rings` gives what `agent.memory.attention.attend` gives on copies of the rings, up to rounding, and makes
no copies: every program reads the keys and values of one head of one slot where they lie, once. With few rows a ring is
split among several programs, whose parts are joined afterwards. Positions, their term of the scores, and what is hidden are
in `bias`, as in the plain path.

Failure policy: `usable` tries the kernel against the plain path on the device before it is used at all. Where Triton is not
installed, cannot compile it, or gives another result, the plain path is used, and the log says why.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from agent.memory.attention import attend

log = logging.getLogger(__name__)
BLOCK = 64  # positions of a ring that a program reads at once for one query; for several fewer, as registers are few
LEAST = 16
PROGRAMS = 256  # wanted at least, so that a GPU is full; a ring has at most one part for each BLOCK
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 2e-2, torch.float16: 4e-3}


@functools.cache
def _kernel() -> Any:
    """The compiled function. Triton is imported here, because machines without a GPU need not have it."""
    import triton
    from triton import language as tl

    # Without annotations: Triton reads them, and knows its own alone.
    @triton.jit  # type: ignore[untyped-decorator]
    def attend_part(  # type: ignore[no-untyped-def]  # noqa: ANN202, PLR0917 - Triton passes arguments by position
        queries, keys, values, slots, bias, out, peaks, sums,  # noqa: ANN001
        count, capacity, heads, size, part_length,  # noqa: ANN001
        has_bias: tl.constexpr, queried: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
    ):  # fmt: skip
        """One part of one head's ring for all its queries; programs are (rows * heads, parts)."""
        row, part = tl.program_id(0), tl.program_id(1)
        parts = tl.num_programs(1)
        slot = tl.load(slots + row // heads)
        ring = (slot * heads + row % heads).to(tl.int64) * capacity * size
        query, inner = tl.arange(0, queried), tl.arange(0, width)
        is_query, is_inner = query < count, inner < size
        here = (row.to(tl.int64) * count + query)[:, None] * size + inner[None, :]
        asked = tl.load(queries + here, mask=is_query[:, None] & is_inner[None, :], other=0.0).to(tl.float32)
        peak = tl.full((queried,), float("-inf"), tl.float32)
        total = tl.zeros((queried,), tl.float32)
        found = tl.zeros((queried, width), tl.float32)
        first = part * part_length
        for start in range(first, tl.minimum(first + part_length, capacity), block):
            place = start + tl.arange(0, block)
            there = (place < capacity) & (place < first + part_length)
            at = ring + place[:, None] * size + inner[None, :]
            mask = there[:, None] & is_inner[None, :]
            key = tl.load(keys + at, mask=mask, other=0.0).to(tl.float32)
            value = tl.load(values + at, mask=mask, other=0.0).to(tl.float32)
            # Queries are few, so products of vectors, summed in float32, cost less than padding them to matrices.
            scores = tl.sum(asked[:, None, :] * key[None, :, :], axis=2)
            if has_bias:
                added = bias + (row.to(tl.int64) * count + query)[:, None] * capacity + place[None, :]
                scores += tl.load(added, mask=is_query[:, None] & there[None, :], other=0.0).to(tl.float32)
            scores = tl.where(there[None, :], scores, float("-inf"))
            higher = tl.maximum(peak, tl.max(scores, axis=1))
            weights = tl.exp(scores - higher[:, None])
            before = tl.exp(peak - higher)
            total = total * before + tl.sum(weights, axis=1)
            found = found * before[:, None] + tl.sum(weights[:, :, None] * value[None, :, :], axis=1)
            peak = higher
        place_out = (row.to(tl.int64) * parts + part) * count + query
        tl.store(peaks + place_out, peak, mask=is_query)
        tl.store(sums + place_out, total, mask=is_query)
        tl.store(
            out + place_out[:, None] * size + inner[None, :],
            found / total[:, None],
            mask=is_query[:, None] & is_inner[None, :],
        )

    return attend_part


def attend_rings(queries: Tensor, keys: Tensor, values: Tensor, slots: Tensor, bias: Tensor | None, *, heads: int) -> Tensor:
    """Attends from each row to its slot's ring; returns (rows * heads, q, head_dim) in the queries' dtype.

    queries: (rows * heads, q, head_dim), scaled. keys, values: (slots * heads, capacity, head_dim), all rings of a layer.
    slots: (rows,), int64. bias: (rows * heads, q, capacity), added to the scores; None: nothing.
    """
    (rows, count, size), capacity = queries.shape, keys.shape[1]
    parts = max(1, min(-(-capacity // BLOCK), PROGRAMS // rows))
    length = -(-capacity // parts)
    parts = -(-capacity // length)
    out = torch.empty(rows, parts, count, size, dtype=torch.float32, device=queries.device)
    peaks, sums = out.new_empty(rows, parts, count), out.new_empty(rows, parts, count)
    queried = _power_of_two(count)
    _kernel()[rows, parts](
        *(
            queries.contiguous(),
            keys,
            values,
            slots.contiguous(),
            queries if bias is None else bias.contiguous(),
            out,
            peaks,
            sums,
        ),
        *(count, capacity, heads, size, length),
        has_bias=bias is not None,
        queried=queried,
        width=_power_of_two(size),
        block=max(LEAST, BLOCK // queried),
    )
    if parts == 1:
        return out[:, 0].to(queries.dtype)
    shares = sums * (peaks - peaks.amax(1, keepdim=True)).exp()
    shares = shares / shares.sum(1, keepdim=True)
    return (out * shares[..., None]).sum(1).to(queries.dtype)


def _power_of_two(number: int) -> int:
    return 1 << (number - 1).bit_length()


@functools.cache
def usable(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the kernel works on this device in this dtype: tried once, against the plain path."""
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"  # Triton's own way to run kernels on the CPU, for tests
    if not interpreted and (device.type != "cuda" or not torch.cuda.is_available()):
        return False
    try:
        wrong = max(difference(dtype, device=device, count=count, capacity=2 * BLOCK + 3, size=64) for count in (1, 5))
    except Exception as error:  # a compiler raises many kinds
        log.warning("the kernel over memory slots cannot run on %s: %s: %s", device, type(error).__name__, error)
        return False
    if wrong > TOLERANCE[dtype]:
        log.warning("the kernel over memory slots is wrong by %.2g on %s in %s; it is not used", wrong, device, dtype)
        return False
    return True


def difference(
    dtype: torch.dtype,
    *,
    count: int,
    capacity: int,
    size: int,
    heads: int = 2,
    slots: Sequence[int] = (3, 0, 4),
    bias: bool = True,
    device: torch.device | str = "cpu",
) -> float:
    """The largest difference of kernel and plain path on random numbers; of biased scores the first half is hidden."""
    draws = torch.Generator().manual_seed(count + capacity)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draws).to(device=device, dtype=dtype)

    # A column, as a caller may have it: the kernel reads addresses, so how a tensor lies in memory matters.
    rows, at = len(slots) * heads, torch.tensor([(slot, -1) for slot in slots], device=device)[:, 0]
    queries, rings = drawn(rows, count, size) / size**0.5, drawn(2, max(slots) + 1, heads, capacity, size)
    added = drawn(rows, count, capacity) if bias else None
    if added is not None:
        added[:, :, : capacity // 2] = torch.finfo(dtype).min / 2
    keys, values = (one.index_select(0, at).flatten(0, 1) for one in rings)
    plain = attend(queries, keys, values, added)
    found = attend_rings(queries, rings[0].flatten(0, 1), rings[1].flatten(0, 1), at, added, heads=heads)
    assert found.dtype == dtype
    return float((found - plain).abs().max())
