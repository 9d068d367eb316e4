"""Agent bundles that exist only to be measured, with seeded random weights.

`tiny_bundle`: models so small that an Act costs nothing but its path. `paper_bundle`: the sizes of the paper (ViT-B/16, a
Transformer-XL of 18 layers with a window of 511), with real times and meaningless words.

Failure policy: none of its own.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from agent.action_space import ActionSpace
from agent.bundle import AgentBundle, PolicyPart, write_manifest
from agent.policy.actor_critic import ActorCritic
from agent.vocabulary import Vocabulary

SIDE, ACTIONS = 56, 7
TINY_CLIP: dict[str, Any] = {  # one layer, two patches a side
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": SIDE, "layers": 1, "width": 32, "head_width": 16, "patch_size": 28},
        "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 1, "layers": 1},
    },
    "preprocess_cfg": {  # all of them, as in the shipped bundles: what open_clip must complete is read by open_clip
        "size": SIDE,
        "mode": "RGB",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
        "fill_color": 0,
    },
}
TINY_LANGUAGE_MODEL: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 64,
    "max_position_embeddings": 64,
}


def tiny_bundle(folder: Path) -> AgentBundle:
    """Writes an agent whose models have one small layer each."""
    import json

    import open_clip
    from transformers import LlamaConfig, LlamaModel

    torch.manual_seed(0)
    clip, model = folder / "clip", folder / "language_model"
    clip.mkdir(parents=True)
    (clip / "open_clip_config.json").write_text(json.dumps(TINY_CLIP))
    cfg: dict[str, Any] = dict(TINY_CLIP["model_cfg"])
    built = open_clip.CLIP(**cfg)
    save_file({name: value.contiguous() for name, value in built.state_dict().items()}, clip / "open_clip_model.safetensors")
    LlamaModel(LlamaConfig(**TINY_LANGUAGE_MODEL)).save_pretrained(model)
    memory = {"kind": "causal_lm", "source": "file:language_model", "layers": 1, "window": 8, "dimension": 32}
    shape = PolicyPart(weights="policy.safetensors", channels=(4, 4), features=16, actor_hidden=16, critic_hidden=16)
    return _write(folder, "tiny", "file:clip", memory, shape, words=32, embedding=16)


def paper_bundle(
    folder: Path, *, window: int = 511, layers: int = 18, words: int = 2000, clip: str = "random:ViT-B-16/0"
) -> AgentBundle:
    """Writes an agent of the paper's sizes; its frozen models are drawn when they are loaded."""
    torch.manual_seed(0)
    memory = {"kind": "transformer_xl", "source": "random:0", "layers": layers, "window": window, "dimension": 1024}
    shape = PolicyPart(weights="policy.safetensors")
    return _write(folder, f"paper-{window}", clip, memory, shape, words=words, embedding=512)


def small_paper_bundle(folder: Path) -> AgentBundle:
    """The same with two layers and a short window, for quick runs."""
    return paper_bundle(folder, window=15, layers=2)


def _write(
    folder: Path, name: str, clip: str, memory: dict[str, Any], shape: PolicyPart, *, words: int, embedding: int
) -> AgentBundle:
    folder.mkdir(parents=True, exist_ok=True)
    Vocabulary([f"word{i}" for i in range(words)], torch.randn(words, embedding), torch.arange(words)).save(
        folder / "vocabulary.safetensors"
    )
    policy = ActorCritic(shape, height=SIDE, width=SIDE, memory=memory["dimension"], actions=ACTIONS)
    save_file(policy.state_dict(), folder / "policy.safetensors")
    manifest = {
        "format": 1,
        "name": name,
        "description": "Seeded random weights, for benchmarks",
        "environments": ["MiniGrid-MemoryS11-v0"],
        "observation": {"height": SIDE, "width": SIDE},
        "actions": ActionSpace(discrete=ACTIONS).model_dump(exclude_none=True, include={"discrete"}),
        "retrieval": {"clip": clip, "vocabulary": "vocabulary.safetensors", "k": 1},
        "memory": memory,
        "policy": shape.model_dump(mode="json"),
        "provenance": {"made_by": "benchmarks.bundles"},
    }
    return write_manifest(folder, manifest)


def noise(count: int, seed: int = 0) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """Returns frames of noise, of which no two are the same."""
    return list(np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8))
