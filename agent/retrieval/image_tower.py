"""The image tower of a CLIP model, ready to compute: the one place that chooses how.

A plain vision transformer (four of the five shipped agents, OpenAI's ViT models) is computed by
agent.retrieval.vision_transformer; a folder with one is read without open_clip, whose import takes seconds because it
imports torchvision. Any other tower (residual networks, CoCa, timm) is open_clip's own module.

Contract: pixels (rows, 3, height, width) in the tower's dtype -> embeddings (rows, dim) in that dtype, not normalised. The
tower has open_clip's attribute `preprocess_cfg`. Failure: as in agent.retrieval.clip, which reads what is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agent.retrieval.clip_settings import read_clip_settings
from agent.retrieval.vision_transformer import VisionShape, VisionTransformer, vision_transformer
from agent.safetensors_file import read_weights

# Settings of open_clip that a plain vision transformer is fully described by; any other one changes what is computed.
_PLAIN_MODEL = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu", "custom_text"}
_PLAIN_VISION = {"image_size", "layers", "width", "head_width", "mlp_ratio", "patch_size"}
_PREPROCESSING = {"size", "mode", "mean", "std", "interpolation", "resize_mode", "fill_color"}


def _from_folder(folder: Path) -> VisionTransformer | None:
    """Returns the tower of a folder in open_clip's format, in float32, or None if open_clip must read it."""
    config, file = folder / "open_clip_config.json", folder / "open_clip_model.safetensors"
    if not config.is_file() or not file.is_file():
        return None
    settings = read_clip_settings(config)
    model, preprocess = settings["model_cfg"], settings.get("preprocess_cfg", {})
    vision = model.get("vision_cfg", {})
    if not (model.keys() <= _PLAIN_MODEL and vision.keys() <= _PLAIN_VISION and preprocess.keys() == _PREPROCESSING):
        return None
    if not isinstance(vision.get("image_size"), int) or vision["image_size"] != preprocess["size"]:
        return None
    tensors = read_weights(file, "visual.").items()
    weights = {name.removeprefix("visual."): value.float() for name, value in tensors}
    return _described(weights, model, preprocess)


def _described(weights: Mapping[str, Tensor], model: dict[str, Any], preprocess: dict[str, Any]) -> VisionTransformer | None:
    vision = model["vision_cfg"]
    if not isinstance(vision.get("layers"), int) or not {"width", "head_width", "patch_size"} <= vision.keys():
        return None
    if not all(isinstance(vision[name], int) and vision[name] > 0 for name in ("width", "head_width", "patch_size")):
        return None
    shape = VisionShape(vision["width"] // vision["head_width"], bool(model.get("quick_gelu", False)))
    tower = vision_transformer(weights, shape)
    patches = (vision["image_size"] // vision["patch_size"]) ** 2
    if tower is None or tower.patch != (vision["patch_size"],) * 2:
        return None
    if len(tower.positional_embedding) != patches + 1:  # open_clip would resize the embedding
        return None
    tower.preprocess_cfg = preprocess  # type: ignore[assignment]
    return tower


def _from_open_clip(visual: Any) -> VisionTransformer | None:
    """Returns the tower of open_clip's module, with its very tensors, or None if it is not a plain vision transformer."""
    from open_clip.transformer import QuickGELU, ResidualAttentionBlock
    from open_clip.transformer import VisionTransformer as OpenClips

    if type(visual) is not OpenClips or visual.attn_pool is not None or visual.pool_type != "tok" or visual.output_tokens:
        return None
    blocks = list(visual.transformer.resblocks)
    if {type(block) for block in blocks} != {ResidualAttentionBlock}:
        return None
    if type(blocks[0].mlp.gelu) not in (nn.GELU, QuickGELU):
        return None
    norms = [module for module in visual.modules() if isinstance(module, nn.LayerNorm)]
    if any(norm.eps != 1e-5 for norm in norms) or getattr(blocks[0].mlp.gelu, "approximate", "none") != "none":
        return None
    shape = VisionShape(blocks[0].attn.num_heads, isinstance(blocks[0].mlp.gelu, QuickGELU))
    tower = vision_transformer(visual.state_dict(), shape)
    if tower is not None:
        tower.preprocess_cfg = visual.preprocess_cfg
    return tower


def image_tower(model: nn.Module, *, device: torch.device | str, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Returns the tower of open_clip's model, or a tower itself, on `device` in `dtype`.

    The tower uses the model's tensors where neither device nor dtype differs; otherwise a residual network moves with it.
    """
    visual: nn.Module = getattr(model, "visual", model)
    tower = visual if isinstance(visual, VisionTransformer) else _from_open_clip(visual) or visual
    return tower.to(device=device, dtype=dtype).eval()


def load_image_tower(spec: str, *, device: torch.device | str, dtype: torch.dtype = torch.float32) -> nn.Module:
    """Loads the image tower of the model that `spec` names, as in agent.retrieval.clip, on `device` in `dtype`."""
    scheme, _, rest = spec.partition(":")
    tower = _from_folder(Path(rest)) if scheme == "file" and rest else None
    if tower is not None:
        return image_tower(tower, device=device, dtype=dtype)
    from agent.retrieval.clip import load_clip

    return image_tower(load_clip(spec).model, device=device, dtype=dtype)
