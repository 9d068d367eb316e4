"""Model folders in the formats of the published weights, which cannot be downloaded here, with seeded random numbers.

`transformer_xl` writes what the hub has of transfo-xl-wt103: config.json, pytorch_model.bin with every tensor under its
published name, those of the head included, and the pickled vocabulary vocab.bin. `in_hub_cache` puts a folder where the
hub's own library looks for what it has downloaded, so that `hub:` sources are read as they would be.
"""

import json
import shutil
from collections import Counter, OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agent.memory.transformer_xl.model import TransformerXLConfig
from agent.memory.transformer_xl.weights import published_shapes

COMMIT = "40a186da79458c9f9de846edfaea79c412137f97"


def transformer_xl(folder: Path, words: Sequence[str], config: TransformerXLConfig) -> Path:
    """Writes a model folder with these words; returns it. words: as many as config.vocab_size."""
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    tensors: dict[str, Tensor] = {}
    for name, shape in published_shapes(config).items():
        norm = name.endswith("layer_norm.weight")
        tensors[f"transformer.{name}"] = torch.ones(shape) if norm else torch.randn(shape, generator=generator) * 0.02
    for name in [name for name in tensors if "word_emb" in name]:  # one object under both names, as tied tensors are
        tensors[name.replace("transformer.word_emb.emb_", "crit.out_")] = tensors[name]
    torch.save(tensors, folder / "pytorch_model.bin")
    sizes = {
        name: getattr(config, name)
        for name in ("vocab_size", "d_model", "d_embed", "n_head", "d_head", "d_inner", "n_layer")
    }
    fields: dict[str, Any] = {
        "model_type": "transfo-xl",
        "cutoffs": list(config.cutoffs),
        "div_val": config.div_val,
        **sizes,
    }
    (folder / "config.json").write_text(json.dumps({**fields, "attn_type": 0, "same_length": True, "untie_r": True}))
    numbers = OrderedDict((word, number) for number, word in enumerate(words))
    vocabulary = {"counter": Counter(words), "special": ["<eos>"], "min_freq": 0, "idx2sym": list(words), "sym2idx": numbers}
    torch.save(vocabulary, folder / "vocab.bin")
    return folder


def in_hub_cache(cache: Path, name: str, folder: Path) -> None:
    """Copies a folder to where `huggingface_hub` keeps the latest snapshot of the model OWNER/NAME. cache: HF_HUB_CACHE."""
    model = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(folder, model / "snapshots" / COMMIT)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(COMMIT)
