"""The kernel over the rings against the plain path.

There is no GPU here: Triton's interpreter runs the kernel's own code on the CPU, which tries its arithmetic and its
addresses, and Triton's compiler turns it into machine code for GPUs, which needs none. Both together are measured on a GPU
by benchmarks.gpu.fast_paths.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from support.process import REPOSITORY
from torch import Tensor

from agent.memory import ring_kernel
from agent.memory.ring_kernel import usable

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def differences() -> Mapping[str, float]:
    """The largest difference in each case of support.interpreted_kernel."""
    return numbers_of("support.interpreted_kernel", TRITON_INTERPRET="1")


def numbers_of(module: str, **variables: str) -> Mapping[str, float]:
    """What a module prints, run in a process of its own."""
    pytest.importorskip("triton", reason="this build of torch has no Triton")
    paths = [str(REPOSITORY / "tests"), str(REPOSITORY), *sys.path]
    environment = {**os.environ, **variables, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", module]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_kernel_compiles_for_gpus(tmp_path: Path) -> None:
    sizes = numbers_of("support.compiled_kernel", TRITON_CACHE_DIR=str(tmp_path))
    assert len(sizes) == 2
    assert min(sizes.values()) > 1000


def test_the_kernel_equals_the_plain_path(differences: Mapping[str, float]) -> None:
    exact = {name: wrong for name, wrong in differences.items() if name not in ("usable", "bfloat16")}
    assert len(exact) > 30
    assert {name: wrong for name, wrong in exact.items() if wrong > 1e-5} == {}


def test_two_byte_numbers_agree_as_well_as_they_can(differences: Mapping[str, float]) -> None:
    assert 0 < differences["bfloat16"] < 2e-2


def test_a_kernel_that_works_is_used(differences: Mapping[str, float]) -> None:
    assert differences["usable"] == 1


@pytest.fixture
def _tried(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a machine where there is something to try."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    usable.cache_clear()
    yield
    usable.cache_clear()


@pytest.mark.usefixtures("_tried")
def test_a_kernel_that_is_wrong_is_not_used_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ring_kernel, "attend_rings", lambda queries, *_, heads: queries)
    assert not usable(CPU, torch.float32)
    assert "is wrong by" in caplog.text


@pytest.mark.usefixtures("_tried")
def test_a_kernel_that_fails_is_not_used_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*_: Tensor, heads: int) -> Tensor:
        raise RuntimeError(f"no compiler for {heads} heads")

    monkeypatch.setattr(ring_kernel, "attend_rings", failing)
    assert not usable(CPU, torch.float32)
    assert "no compiler" in caplog.text


def test_without_a_gpu_there_is_no_kernel() -> None:
    usable.cache_clear()
    assert not usable(CPU, torch.float32)
    assert torch.cuda.is_available() or not usable(torch.device("cuda"), torch.bfloat16)
