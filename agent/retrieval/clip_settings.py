"""The settings of a CLIP model in a folder, open_clip's `open_clip_config.json`, checked before it is built.

A folder's model is in the folder: settings that name another one would have it fetched, and be another tomorrow. Sizes are
bounded, because the library takes memory and time for what they say before it looks at the weights.

Failure policy: ValueError names the file and the field.
"""

import re
from pathlib import Path
from typing import Any

from agent.strict_json import read_object

# Settings of open_clip that name a model which another library would fetch, or have weights fetched.
_NAMES_OF_MODELS = (
    *(("text_cfg", "hf_model_name"), ("text_cfg", "hf_tokenizer_name")),
    ("vision_cfg", "timm_model_pretrained"),
)
_TIMM_NAME = re.compile(r"[A-Za-z0-9_.]+")  # of an architecture; hf-hub:, local-dir: and paths have other characters
LARGEST, MOST_LAYERS, LARGEST_IMAGE = 2**20, 256, 4096
_LAYERS = ("layers", "depth", "depths", "heads", "n_queries", "attn_pooler_heads")


def read_clip_settings(file: Path) -> dict[str, Any]:
    """Returns the content of `open_clip_config.json`; `model_cfg` and its towers are objects."""
    settings = read_object(file)
    model = _object(settings, "model_cfg", file)
    for tower in ("vision_cfg", "text_cfg"):
        _object(model, tower, file, f"model_cfg.{tower}")
    _object({"preprocess_cfg": {}, **settings}, "preprocess_cfg", file)
    for part, field in _NAMES_OF_MODELS:
        if model[part].get(field):
            raise ValueError(f"{file}: model_cfg.{part}.{field}: expected none, a model in the folder names no other one")
    name = model["vision_cfg"].get("timm_model_name")
    if name is not None and not (isinstance(name, str) and _TIMM_NAME.fullmatch(name)):
        raise ValueError(f"{file}: model_cfg.vision_cfg.timm_model_name: expected the name of an architecture, got {name!a}")
    _check_sizes(model, f"{file}: model_cfg")
    _check_sizes(settings.get("preprocess_cfg", {}), f"{file}: preprocess_cfg")
    return settings


def _object(content: dict[str, Any], field: str, file: Path, full: str | None = None) -> dict[str, Any]:
    found = content.get(field)
    if not isinstance(found, dict):
        raise ValueError(f"{file}: {full or field}: expected an object")
    return found


def _check_sizes(content: Any, where: str, field: str = "") -> None:
    most = MOST_LAYERS if field in _LAYERS else LARGEST_IMAGE if field in ("size", "image_size") else LARGEST
    if isinstance(content, dict):
        for name, value in content.items():
            _check_sizes(value, f"{where}.{name}", name)
    elif isinstance(content, list):
        for number, value in enumerate(content):
            _check_sizes(value, f"{where}.{number}", field)
    elif isinstance(content, int | float) and not -most <= content <= most:
        raise ValueError(f"{where}: expected a number up to {most}, got {content}")
