"""Bundles of a few kilobytes that load and act in milliseconds: real ones but for their size.

`PARTS` names them: `plain` has parts that this project computes, `other` a CLIP of open_clip's own and a language model of
transformers, `xl` a Transformer-XL.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from agent.bundle import AgentBundle, PolicyPart, write_manifest
from agent.policy.actor_critic import ActorCritic
from agent.vocabulary import Vocabulary
from support.process import REPOSITORY

PARTS = ("plain", "other", "xl")
SIDE, EMBEDDED, WIDTH, ACTIONS = 16, 8, 16, 3
WORDS = ["key", "ball", "wall", "door", "corridor"]
XL = REPOSITORY / "tests/golden/transformer_xl/small"
_TEXT = {"context_length": 8, "vocab_size": 50, "width": 8, "heads": 1, "layers": 1}
_VISION: dict[str, dict[str, Any]] = {
    "plain": {"image_size": SIDE, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8},
    "other": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 4, "head_width": 16, "patch_size": None},
}
_POLICY: dict[str, Any] = {
    "weights": "policy.safetensors",
    "channels": (2, 2),
    "features": 4,
    "actor_hidden": 4,
    "critic_hidden": 4,
}


def write_bundle(folder: Path, parts: str = "plain") -> AgentBundle:
    """Writes a bundle and loads its manifest."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    _write_clip(folder / "clip", "other" if parts == "other" else "plain")
    dimension = _write_language_model(folder / "lm", parts)
    Vocabulary(WORDS, torch.randn(len(WORDS), EMBEDDED), torch.arange(1, len(WORDS) + 1)).save(
        folder / "vocabulary.safetensors"
    )
    policy = ActorCritic(PolicyPart(**_POLICY), height=SIDE, width=SIDE, memory=dimension, actions=ACTIONS)
    save_file(policy.state_dict(), folder / "policy.safetensors")
    content = {
        "format": 1,
        "name": f"tiny-{parts}",
        "description": "For tests",
        "environments": ["MiniGrid-MemoryS7-v0"],
        "observation": {"height": SIDE, "width": SIDE},
        "actions": {"discrete": ACTIONS, "names": ["left", "right", "on"]},
        "retrieval": {"clip": "file:clip", "vocabulary": "vocabulary.safetensors", "k": 2},
        "memory": {
            **{"kind": "transformer_xl" if parts == "xl" else "causal_lm", "source": "file:lm"},
            **{"layers": 1, "window": 8, "dimension": dimension},
        },
        "policy": {**_POLICY, "channels": [2, 2]},
        "provenance": {"seed": 0},
    }
    return write_manifest(folder, content)


def _write_clip(folder: Path, parts: str) -> None:
    from open_clip.model import CLIP

    vision = _VISION[parts]
    model = CLIP(embed_dim=EMBEDDED, vision_cfg=dict(vision), text_cfg=dict(_TEXT))
    folder.mkdir()
    preprocess = {"size": vision["image_size"], "mode": "RGB", "mean": [0.5] * 3, "std": [0.3] * 3}
    preprocess |= {"interpolation": "bicubic", "resize_mode": "shortest", "fill_color": 0}
    config = {"model_cfg": {"embed_dim": EMBEDDED, "vision_cfg": vision, "text_cfg": _TEXT}, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    tensors = {name: value.contiguous() for name, value in model.state_dict().items() if name != "attn_mask"}
    save_file(tensors, folder / "open_clip_model.safetensors")


def _write_language_model(folder: Path, parts: str) -> int:
    """Returns the dimension of the memory vector."""
    if parts == "xl":
        shutil.copytree(XL, folder)
        return int(json.loads((folder / "config.json").read_text())["d_model"])
    from transformers import AutoModel, LlamaConfig, Qwen2Config

    sizes: dict[str, Any] = {
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
    }
    sizes["vocab_size"] = 20
    kind = Qwen2Config if parts == "other" else LlamaConfig
    AutoModel.from_config(kind(intermediate_size=24, max_position_embeddings=64, **sizes)).save_pretrained(folder)
    return WIDTH
