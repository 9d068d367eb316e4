"""Loads any open_clip model from a spec string, with its tokenizer.

Specs: `file:FOLDER` (open_clip's local folder: open_clip_config.json and weights), `hub:ARCH/PRETRAINED` (for example
`hub:ViT-B-16/openai`), `random:ARCH/SEED` (seeded random weights, for benchmarks; ARCH is one of open_clip's).

Failure: ValueError names the spec and what was expected; a missing folder raises FileNotFoundError; files that open_clip
cannot download or read raise open_clip's own errors. Weight files that need pickle are read with `weights_only`. open_clip
is imported on demand, because that takes seconds and most bundles are served without it (agent.retrieval.image_tower).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agent.retrieval.clip_settings import read_clip_settings
from agent.sources import file_sha256, sha256_of_files
from agent.tensor_checks import check_finite_module, check_size, check_storage

FILES = "open_clip_"  # begins the names of a folder's config and weights
_TORCH_FILES = (".bin", ".pth")
FORMS = "file:FOLDER, hub:ARCH/PRETRAINED or random:ARCH/SEED"


@dataclass(frozen=True)
class ClipModel:
    """A CLIP model with its tokenizer.

    name: the spec without machine paths. model: open_clip's model, float32, in eval mode. tokenizer: strings -> int64 (rows,
    context). spec: what it was loaded from.
    """

    name: str
    model: nn.Module
    tokenizer: Callable[[list[str]], Tensor]
    spec: str = ""

    @property
    def sha256(self) -> str:
        """As of `clip_sha256`."""
        return clip_sha256(self.spec)


def clip_sha256(spec: str) -> str:
    """Returns what identifies the CLIP model of a spec: of a folder its config and weights; empty for a hub's model."""
    scheme, _, name = spec.partition(":")
    if scheme == "random":
        return hashlib.sha256(spec.encode()).hexdigest()
    if scheme != "file":
        return ""
    files = [path for path in Path(name).iterdir() if path.name.startswith(FILES)]
    return sha256_of_files({path.name: file_sha256(path) for path in files})


def _check_size(folder: Path, where: str) -> None:
    """Checks that the model that the settings describe is no larger than the files of its weights."""
    import open_clip

    files = [file for file in folder.iterdir() if file.suffix in (".safetensors", *_TORCH_FILES)]
    for file in (one for one in files if one.suffix in _TORCH_FILES):
        content = torch.load(file, map_location="cpu", weights_only=True)
        for name, value in content.get("state_dict", content).items():
            if isinstance(value, Tensor):
                check_storage(value, f"{file}: {name}")
    silent = lambda record: "initialized randomly" not in record.getMessage()  # noqa: E731 - it has no weights yet
    logging.getLogger().addFilter(silent)
    try:
        with torch.device("meta"):
            described = open_clip.create_model(where, device="meta", load_weights=False)
    finally:
        logging.getLogger().removeFilter(silent)
    check_size(described, files, str(folder))


def _from_folder(folder: str, device: torch.device) -> ClipModel:
    if not Path(folder, "open_clip_config.json").is_file():
        raise FileNotFoundError(f"CLIP spec file:{folder}: no open_clip_config.json in this folder")
    read_clip_settings(Path(folder, "open_clip_config.json"))
    import open_clip

    where = f"local-dir:{folder}"
    _check_size(Path(folder), where)
    model = open_clip.create_model(where, device=device, require_pretrained=True)
    check_finite_module(model.visual, folder)
    tokenizer = open_clip.get_tokenizer(where)
    return ClipModel(f"file:{Path(folder).name}", model, tokenizer, f"file:{folder}")


def _from_hub(architecture: str, pretrained: str, device: torch.device) -> ClipModel:
    import open_clip

    # open_clip only warns when the tag was trained with QuickGELU and the architecture's config lacks it, as for
    # ViT-B-16/openai; the activation is part of the published model, so the tag decides.
    quick_gelu = bool((open_clip.get_pretrained_cfg(architecture, pretrained) or {}).get("quick_gelu", False))
    model = open_clip.create_model(
        architecture, pretrained=pretrained, device=device, force_quick_gelu=quick_gelu, require_pretrained=True
    )
    return ClipModel(f"hub:{architecture}/{pretrained}", model, open_clip.get_tokenizer(architecture))


def _random(architecture: str, seed: int, device: torch.device) -> ClipModel:
    import open_clip

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = open_clip.create_model(architecture, load_weights=False)
    spec = f"random:{architecture}/{seed}"
    return ClipModel(spec, model.to(device), open_clip.get_tokenizer(architecture), spec)


def load_clip(spec: str, *, device: torch.device | str = "cpu") -> ClipModel:
    """Loads the CLIP model that `spec` names (`file:`, `hub:` or `random:`), on `device`, in float32 and eval mode.

    Raises ValueError for an invalid spec, FileNotFoundError for a missing folder.
    """
    scheme, _, rest = spec.partition(":")
    architecture, _, last = rest.rpartition("/")
    where = torch.device(device)
    if scheme == "file" and rest:
        loaded = _from_folder(rest, where)
    elif scheme == "hub" and architecture and last:
        loaded = _from_hub(architecture, last, where)
    elif scheme == "random" and architecture and last.isdecimal():
        loaded = _random(architecture, int(last), where)
    else:
        raise ValueError(f"CLIP spec: expected {FORMS}, got {spec!r}")
    loaded.model.eval().requires_grad_(False)
    return loaded


def preprocess_cfg(model: nn.Module) -> dict[str, Any]:
    """Returns open_clip's preprocessing settings of a model: size, mean, std, interpolation, resize_mode, fill_color."""
    cfg: dict[str, Any] = model.visual.preprocess_cfg  # type: ignore[union-attr, assignment]
    return cfg
