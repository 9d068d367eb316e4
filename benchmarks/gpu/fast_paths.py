"""What is faster on a GPU, against the plain way, on the device itself: results first, then times.

Rows: `path` (`kernel`: attention over the rings in place against copying them, agent.memory.ring_kernel; `graph`: a step as
a CUDA graph against launching its operations, agent.cuda_graphs), sizes, `difference` (largest, of the largest number), and
where it was timed `p50_ms`, `plain_p50_ms` and `ratio`.
"""

import copy
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor

from agent.memory import ring_kernel
from agent.memory.slot_cache import SlotCache
from benchmarks.gpu.roofline import timed

Row = dict[str, Any]
HEADS, SIZE = 16, 64  # the paper's
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


def kernel_differences(device: str) -> Iterator[Row]:
    """Compares the kernel with the plain path: few and many queries, short and long rings, odd sizes."""
    for dtype, count, capacity, size in product(DTYPES, (1, 3, 8), (7, 131, 511), (24, 64)):
        wrong = ring_kernel.difference(dtype, count=count, capacity=capacity, size=size, device=device)
        sizes = {"queries": count, "window": capacity, "head_dim": size}
        yield {
            "path": "kernel",
            "dtype": str(dtype),
            **sizes,
            "difference": wrong,
            "right": wrong <= ring_kernel.TOLERANCE[dtype],
        }
    yield {"path": "kernel", "usable": {str(dtype): ring_kernel.usable(torch.device(device), dtype) for dtype in DTYPES}}


def kernel_times(device: str, dtype: torch.dtype, batches: tuple[int, ...], window: int) -> Iterator[Row]:
    """Times attention of one layer of the paper's sizes, with biases as Transformer-XL has them."""
    for batch in batches:
        cache = SlotCache(
            layers=1, slots=batch, heads=HEADS, head_dim=SIZE, window=window, tokens_per_step=1, dtype=dtype, device=device
        )
        cache._store.normal_()
        plain = copy.copy(cache)
        plain._in_kernel = False
        slots = torch.arange(batch, device=device).flip(0)
        queries = torch.randn(batch * HEADS, 1, SIZE, device=device, dtype=dtype) / SIZE**0.5
        bias = torch.randn(batch * HEADS, 1, window, device=device, dtype=dtype)

        arguments: tuple[Any, ...] = (0, slots, [], queries, bias)
        yield _row("kernel", cache.attend, plain.attend, device, arguments, batch=batch, window=window)


def graph_times(model: Any, device: str, batches: tuple[int, ...]) -> Iterator[Row]:
    """Times a step of a language model on full slots."""
    for batch in batches:
        cache = model.new_cache(batch)
        cache._store.normal_()
        step, words = model.stepper(cache), torch.zeros(batch, 1, dtype=torch.int64)
        slots, lengths = torch.arange(batch), torch.full((batch,), 4 * model.window)
        yield _row(
            "graph",
            step,
            partial(model.step, cache),
            device,
            (slots, lengths, words),
            batch=batch,
            window=model.window,
        )


def _row(
    path: str,
    fast: Callable[..., Tensor],
    plain: Callable[..., Tensor],
    device: str,
    arguments: tuple[Any, ...],
    **sizes: int,
) -> Row:
    for _ in range(2):  # the first call may prepare the fast way by the plain one
        found = fast(*arguments)
    expected = plain(*arguments)
    wrong = float((found - expected).abs().max() / expected.abs().max())
    times = [1e3 * statistics.median(timed(partial(way, *arguments), device, 50)) for way in (fast, plain)]
    figures = {"p50_ms": round(times[0], 4), "plain_p50_ms": round(times[1], 4), "ratio": round(times[1] / times[0], 2)}
    return {"path": path, **sizes, "difference": wrong, **figures}
