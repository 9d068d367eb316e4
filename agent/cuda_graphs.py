"""Replays a function of one tensor as a CUDA graph: one launch in place of hundreds, which at few rows take most of a call.

A graph has fixed sizes, so there is one for each of a few numbers of rows; a batch in between is filled up with copies of
its last row. `work` must therefore bear to be called again with the same rows, and its rows must not depend on one another.
Each size needs the device's memory for one set of intermediate results.

Failure policy: a graph that cannot be captured, or whose result differs from that of `work`, is not used: the log says why,
and `work` is called from then on. Errors of `work` itself are raised. Not safe for concurrent calls.
"""

import logging
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

log = logging.getLogger(__name__)
SIZES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
WARM = 3  # calls before a capture, in which libraries choose their algorithms
TOLERANCE = 0.02  # of the largest number; a graph runs the same kernels, so a wrong one is far off

Work = Callable[[Tensor], Tensor]


class Graph(NamedTuple):
    """replay: computes `result` from what is in `rows`."""

    rows: Tensor
    result: Tensor
    replay: Callable[[], None]


def graphed(work: Work, device: torch.device, *, most: int = SIZES[-1]) -> Work:
    """Returns `work`, on a CUDA device with graphs for up to `most` rows.

    work: (rows, ...) on the device -> (rows, ...). The result takes rows on any device.
    """
    if device.type == "cuda" and torch.cuda.is_available():
        return GraphedCall(work, device, most=most)
    return work


class GraphedCall:
    """What `graphed` returns where there is a GPU. capture: makes a graph of `work` and rows; tests give their own."""

    def __init__(
        self, work: Work, device: torch.device, *, most: int, capture: Callable[[Work, Tensor], Graph] | None = None
    ) -> None:
        self._work, self._device = work, device
        self._sizes = [size for size in SIZES if size <= most]
        self._capture = capture or captured
        self._graphs: dict[tuple[torch.Size, torch.dtype], Graph] = {}

    @torch.inference_mode()
    def __call__(self, rows: Tensor) -> Tensor:
        """Computes `work(rows)`."""
        count = len(rows)
        size = next((size for size in self._sizes if count <= size), None)
        if size is None:
            return self._work(rows.to(self._device))
        if size > count:
            rows = torch.cat([rows, rows[-1:].expand(size - count, *rows.shape[1:])])
        key = rows.shape, rows.dtype
        if key not in self._graphs:
            return self._first(key, rows)[:count]
        graph = self._graphs[key]
        graph.rows.copy_(rows, non_blocking=True)
        graph.replay()
        return graph.result[:count].clone()

    def _first(self, key: tuple[torch.Size, torch.dtype], rows: Tensor) -> Tensor:
        rows = rows.to(self._device, copy=True)
        expected = self._work(rows)
        try:
            graph = self._capture(self._work, rows)
            graph.replay()
            wrong = _difference(graph.result, expected)
        except RuntimeError as error:
            return self._without(expected, f"{type(error).__name__}: {error}")
        if wrong > TOLERANCE:
            return self._without(expected, f"it is wrong by {wrong:.2g}")
        self._graphs[key] = graph
        return expected

    def _without(self, expected: Tensor, reason: str) -> Tensor:
        log.warning("a CUDA graph of %d rows cannot be used, so each operation is launched: %s", len(expected), reason)
        self._sizes = []
        return expected


def captured(work: Work, rows: Tensor) -> Graph:
    """Captures a graph of `work(rows)`; `rows` is what the graph reads from then on."""
    current, aside = torch.cuda.current_stream(rows.device), torch.cuda.Stream(rows.device)
    aside.wait_stream(current)
    with torch.cuda.stream(aside):
        for _ in range(WARM):
            work(rows)
    current.wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    # Other threads use the GPU for other engines meanwhile, which a capture in the global mode would make fail.
    with torch.cuda.device(rows.device), torch.cuda.graph(graph, capture_error_mode="thread_local"):
        result = work(rows)
    return Graph(rows, result, graph.replay)


def _difference(found: Tensor, expected: Tensor) -> float:
    scale = expected.abs().max().double().clamp_min(1e-6)
    return float((found.double() - expected.double()).abs().max() / scale)
