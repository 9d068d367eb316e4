"""Writes safetensors files that all users can read, because services run as other users than the one who created them."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Writes one safetensors file with mode 0644; safetensors itself would make it readable by its owner only."""
    save_file(dict(tensors), path, metadata=dict(metadata) if metadata else None)
    path.chmod(0o644)
