"""Padding, sizes and the fallback of CUDA graphs; there is no GPU here, so a stand-in for the capture runs the work again.

That a captured graph gives what the plain call gives is measured on a GPU (benchmarks.gpu.fast_paths).
"""

import pytest
import torch
from torch import Tensor

from agent.cuda_graphs import Graph, GraphedCall, Work, graphed

CPU = torch.device("cpu")


def double(rows: Tensor) -> Tensor:
    return rows * 2


class Captures:
    """Stands in for `captured`: fixed tensors and a replay, as a graph has them; notes the sizes."""

    def __init__(self, off: float = 0.0) -> None:
        self.sizes: list[int] = []
        self._off = off

    def __call__(self, work: Work, rows: Tensor) -> Graph:
        self.sizes.append(len(rows))
        result = torch.zeros_like(work(rows))

        def replay() -> None:
            result.copy_(work(rows) + self._off)

        return Graph(rows, result, replay)


def test_every_number_of_rows_gives_what_the_plain_call_gives() -> None:
    captures = Captures()
    call = GraphedCall(double, CPU, most=16, capture=captures)
    for count in (3, 4, 1, 3, 16, 9, 17, 2):
        rows = torch.randn(count, 5)
        assert torch.equal(call(rows), double(rows))
    assert captures.sizes == [4, 1, 16, 2]


def test_a_result_is_not_changed_by_later_calls() -> None:
    call = GraphedCall(double, CPU, most=4, capture=Captures())
    first, second = torch.randn(2, 2), torch.randn(2, 2)
    call(first)
    kept = call(first)
    call(second)
    assert torch.equal(kept, double(first))


def test_the_callers_rows_are_not_written_to() -> None:
    call = GraphedCall(double, CPU, most=4, capture=Captures())
    first = torch.ones(4, 2)
    call(first)
    call(torch.zeros(4, 2))
    assert torch.equal(first, torch.ones(4, 2))


def test_a_graph_that_cannot_be_captured_is_not_used_and_the_log_says_why(caplog: pytest.LogCaptureFixture) -> None:
    tries = []

    def failing(work: Work, rows: Tensor) -> Graph:
        tries.append(len(rows))
        raise RuntimeError("operation not permitted when stream is capturing")

    call = GraphedCall(double, CPU, most=4, capture=failing)
    for _ in range(2):
        assert torch.equal(call(torch.ones(3, 2)), torch.full((3, 2), 2.0))
    assert tries == [4]
    assert "operation not permitted when stream is capturing" in caplog.text


def test_a_graph_that_is_wrong_is_not_used_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    call = GraphedCall(double, CPU, most=4, capture=Captures(off=1.0))
    for _ in range(2):
        assert torch.equal(call(torch.ones(1, 2)), torch.full((1, 2), 2.0))
    assert "it is wrong by 0.5" in caplog.text


def test_an_error_of_the_work_itself_is_raised() -> None:
    def broken(rows: Tensor) -> Tensor:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        GraphedCall(broken, CPU, most=4, capture=Captures())(torch.ones(1))


def test_the_plain_call_is_used_where_there_is_no_gpu() -> None:
    assert graphed(double, CPU) is double
