"""Reads and writes safetensors files.

The library checks a file's header before it takes memory: its length, that the tensors lie within the file beside each
other, that shapes fit them. What else is wrong, and what tensors of a kind must be, is said here.

Failure policy: a file that is not one raises ValueError that names it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from agent.tensor_checks import finite

_COUNT = ".num_batches_tracked"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Writes one safetensors file with mode 0644; safetensors itself would make it readable by its owner only."""
    save_file(dict(tensors), path, metadata=dict(metadata) if metadata else None)
    path.chmod(0o644)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What the library says about a file, as ValueError that names it; a file that is missing stays FileNotFoundError."""
    try:
        yield
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file: {str(error)[:200]}") from None


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A file whose tensors are read one by one."""
    with reading(path), safe_open(path, framework="pt") as file:
        yield file


def read_weights(path: Path, prefix: str = "") -> dict[str, Tensor]:
    """Returns the tensors whose names begin so: finite floating-point numbers, and the counts that BatchNorm keeps."""
    with reading(path):
        tensors = {name: value for name, value in load_file(path).items() if name.startswith(prefix)}
    for name, value in tensors.items():
        if not name.endswith(_COUNT):
            finite(value, f"{path}: {name}")
    return tensors
