"""Files of weights that lie: refused as ValueError that names them, before the memory that they claim is taken."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from agent.safetensors_file import opened, read_weights, write_tensors

GOOD: dict[str, Any] = {"a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}


def write(path: Path, header: object, data: bytes = bytes(16), length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def peak() -> int:
    """The most resident bytes of this process since the peak began anew."""
    (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def changed(**fields: object) -> dict[str, Any]:
    return {"a": {**GOOD["a"], **fields}}


LIES: list[tuple[Any, bytes, int | None]] = [
    (GOOD, bytes(16), 2**63),
    (GOOD, bytes(16), 2**32),
    (GOOD, bytes(16), 0),
    (GOOD, bytes(15), None),
    (GOOD, bytes(17), None),
    (b"", b"", None),
    (b"[]", b"", None),
    (b'{"a":' * 10_000, b"", None),
    (changed(shape=[2**40, 2**40]), bytes(16), None),
    (changed(shape=[2**62, 4]), bytes(16), None),
    (changed(shape=[-2, -2]), bytes(16), None),
    (changed(shape=[3, 2]), bytes(16), None),
    (changed(data_offsets=[0, 2**62]), bytes(16), None),
    (changed(data_offsets=[16, 0]), bytes(16), None),
    (changed(data_offsets=[4, 20]), bytes(20), None),
    (changed(dtype="F8_X"), bytes(16), None),
    (changed(dtype="F64"), bytes(16), None),
    ({**GOOD, "b": GOOD["a"]}, bytes(16), None),  # the same bytes twice
    ({**GOOD, "b": {**GOOD["a"], "data_offsets": [8, 24]}}, bytes(24), None),  # overlapping
    ({"__metadata__": {"a": 1}, **GOOD}, bytes(16), None),
]


@pytest.mark.parametrize(("header", "data", "length"), LIES, ids=range(len(LIES)))
def test_a_file_that_lies_is_refused_without_the_memory_that_it_claims(
    tmp_path: Path, header: object, data: bytes, length: int | None
) -> None:
    path = write(tmp_path / "x.safetensors", header, data, length)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = peak()
    for read in (read_weights, lambda path: opened(path).__enter__()):
        with pytest.raises(ValueError, match=r"x\.safetensors is not a safetensors file"):
            read(path)
    assert peak() - before < 32 * 2**20


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.uint8, torch.float8_e4m3fn])
def test_weights_that_are_no_floating_point_numbers_are_refused(tmp_path: Path, dtype: torch.dtype) -> None:
    save_file({"a": torch.zeros(4).to(dtype)}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=r"x\.safetensors: a: expected floating-point numbers"):
        read_weights(tmp_path / "x.safetensors")


def test_weights_that_are_not_finite_are_refused_and_counts_of_batches_taken(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    tensors = {"a.w": torch.ones(2), "b.num_batches_tracked": torch.tensor(3), "b.x": torch.tensor([1.0, float("nan")])}
    write_tensors(path, tensors)
    with pytest.raises(ValueError, match=r"x\.safetensors: b\.x: expected finite numbers"):
        read_weights(path)
    assert read_weights(path, "a.").keys() == {"a.w"}
    write_tensors(path, {**tensors, "b.x": torch.ones(1)})
    assert read_weights(path).keys() == tensors.keys()


def test_a_missing_file_stays_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_weights(tmp_path / "none.safetensors")
