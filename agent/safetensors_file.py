"""Writes safetensors files that every user can read: services run as other users than the one who made the weights."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """One safetensors file, mode 0644; safetensors itself would make it readable by its owner alone."""
    save_file(dict(tensors), path, metadata=dict(metadata) if metadata else None)
    path.chmod(0o644)
