"""The small CLIP's architecture for recognition's frames: that of training.clip.folder at the frames' own size.

Patches of 16 pixels and captions of 8 tokens make it several times cheaper: one large picture and a few words suffice here.

Contract: `export` writes open_clip's own format, as training.clip.folder does.
"""

import json
from pathlib import Path
from typing import Any

import open_clip

from training.clip import folder
from training.environments.recognition.view import SIZE

MODEL_CFG: dict[str, Any] = folder.MODEL_CFG | {
    "vision_cfg": folder.MODEL_CFG["vision_cfg"] | {"image_size": SIZE, "patch_size": 16},
    "text_cfg": folder.MODEL_CFG["text_cfg"] | {"context_length": 8},
}
PREPROCESS_CFG: dict[str, Any] = folder.PREPROCESS_CFG | {"size": SIZE}


def build() -> open_clip.CLIP:
    """The model with fresh weights from torch's global generator."""
    return open_clip.CLIP(**MODEL_CFG)


def export(model: open_clip.CLIP, out: Path) -> None:
    """Writes `model` to the folder `out`."""
    folder.export(model, out)
    config = {"model_cfg": MODEL_CFG, "preprocess_cfg": PREPROCESS_CFG}
    (out / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
