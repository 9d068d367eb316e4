"""What a device can do, and what a step of an engine must do at least.

A step reads every weight once, whatever the batch, and reads every row's keys and values; each of its matrix products is two
operations per weight and row, and attention four per cached number. `share_of_bandwidth` and `share_of_rate` say how much of
the measured copy bandwidth and matrix rate a step used; the larger of the two is the share of the roofline.

Failure policy: torch's own errors, for example where the device has too little memory.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

COPIED, SIDE, REPEATS = 2**30, 8192, 20
LIMIT, LEAST = 2.0, 3  # seconds after which a measurement ends, and calls that it has at least


@dataclass(frozen=True)
class Work:
    """The least that one call must do. bytes: read or written once; operations: of matrix products."""

    bytes: float
    operations: float


def synchronise(device: str) -> None:
    """Waits until the device has nothing to do."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def timed(work: Callable[[], Any], device: str, repeats: int, warm: int = 3) -> list[float]:
    """Returns the seconds of each call, from an idle device to an idle device; fewer than `repeats` if they take long."""
    for _ in range(warm):
        work()
    synchronise(device)
    found: list[float] = []
    while len(found) < repeats and (len(found) < LEAST or sum(found) < LIMIT):
        started = time.perf_counter()
        work()
        synchronise(device)
        found.append(time.perf_counter() - started)
    return found


def copy_bandwidth(device: str, size: int) -> float:
    """Returns bytes per second of a copy within the device, reads and writes together."""
    source = torch.empty(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / min(timed(lambda: target.copy_(source), device, REPEATS))


def matrix_rate(device: str, dtype: torch.dtype, side: int) -> float:
    """Returns operations per second of a large matrix product."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / min(timed(lambda: a @ b, device, REPEATS))


def step_work(model: Any, rows: int) -> Work:
    """Returns the work of one memory step. model: a RingTransformer."""
    weights = sum(parameter.numel() for parameter in model.stack.parameters())
    size = model.embeddings.element_size()
    cached = rows * 2 * model.layers * model.heads * (model.window - 1 + model.tokens_per_step) * model.head_dim
    queries = rows * model.tokens_per_step
    return Work(bytes=size * (weights + cached), operations=2.0 * weights * queries + 2.0 * cached * model.tokens_per_step)


def tower_work(tower: nn.Module, rows: int, tokens: int) -> Work:
    """Returns the work of encoding frames, without attention; tokens: that a frame becomes.

    A little too much: the engine computes only one token in the last block.
    """
    parameters = list(tower.parameters())
    weights = sum(one.numel() for one in parameters)
    size = sum(one.numel() * one.element_size() for one in parameters)
    return Work(bytes=float(size), operations=2.0 * weights * rows * tokens)


def shares(work: Work, seconds: float, *, bandwidth: float, rate: float) -> dict[str, float]:
    """Returns the shares of the measured limits that a call of `seconds` used."""
    of_bandwidth, of_rate = work.bytes / seconds / bandwidth, work.operations / seconds / rate
    return {
        "share_of_bandwidth": round(of_bandwidth, 4),
        "share_of_rate": round(of_rate, 4),
        "share_of_roofline": round(max(of_bandwidth, of_rate), 4),
    }
