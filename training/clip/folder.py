"""Architecture of the small CLIP, and its folder in open_clip's own format (`local-dir:` schema).

Contract: `export` writes `open_clip_config.json` and `open_clip_model.safetensors` (float16 in the file, read as float32),
so that `open_clip.create_model("local-dir:FOLDER")` loads the model without this project. Existing files are overwritten.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

from agent.safetensors_file import write_tensors

MODEL_CFG: dict[str, Any] = {
    "embed_dim": 128,
    # 56 pixels: a 7x7 view at MiniGrid's tile size of 8, so that one patch is one cell.
    "vision_cfg": {"image_size": 56, "layers": 4, "width": 192, "head_width": 48, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 128, "heads": 4, "layers": 2},
}
PREPROCESS_CFG: dict[str, Any] = {
    "size": 56,
    "mode": "RGB",
    "mean": OPENAI_DATASET_MEAN,
    "std": OPENAI_DATASET_STD,
    "interpolation": "bicubic",
    "resize_mode": "shortest",
    "fill_color": 0,
}


def build(model_cfg: dict[str, Any] = MODEL_CFG) -> open_clip.CLIP:
    """Returns the model with new weights from torch's global generator."""
    return open_clip.CLIP(**model_cfg)


def _half(tensor: torch.Tensor) -> torch.Tensor:
    """Converts a tensor to float16; integer tensors, such as the counts of batch normalisation, stay unchanged."""
    return tensor.to(torch.float16) if tensor.is_floating_point() else tensor


def export(
    model: open_clip.CLIP,
    folder: Path,
    model_cfg: dict[str, Any] = MODEL_CFG,
    preprocess_cfg: dict[str, Any] = PREPROCESS_CFG,
) -> None:
    """Writes `model`, built from `model_cfg`, to `folder` in open_clip's format."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": model_cfg, "preprocess_cfg": preprocess_cfg}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    tensors = {name: _half(value.detach()).contiguous() for name, value in model.state_dict().items()}
    write_tensors(folder / "open_clip_model.safetensors", tensors, {"format": "pt"})
