"""Finds and loads the language model that an agent bundle names.

A source is one of
- `package:PACKAGE/FILE.gguf`: a GGUF file in an installed Python package (nothing of the package is executed),
- `file:FOLDER`: a Hugging Face model folder, or a folder with the public transfo-xl-wt103 files,
- `hub:NAME`: a model of the Hugging Face hub,
- `random:SEED`: seeded random weights with the real shapes, for benchmarks only.

Reading a GGUF file takes many seconds, so its first layers are cached as safetensors in `SHELM_CACHE` (default
`~/.cache/shelm`), named by the file's SHA-256 and the number of layers.

Failure policy: a missing package, file or tensor raises FileNotFoundError or ValueError that names it. Weights are read
without executing anything (safetensors, GGUF, or torch with `weights_only`).
"""

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub import snapshot_download
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, LlamaConfig, PreTrainedModel

from agent.memory.causal_lm import CausalLanguageModel
from agent.memory.language_model import LanguageModel
from agent.memory.transformer_xl import published
from agent.safetensors_file import write_tensors
from agent.sources import file_sha256, package_file

TRANSFORMER_XL_FILES = ["config.json", "model.safetensors", "pytorch_model.bin", "vocab.*"]

# Shape of SmolLM2-135M, for `random:SEED`.
SMOLLM2_135M: dict[str, Any] = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "max_position_embeddings": 8192,
}


@dataclass(frozen=True, kw_only=True)
class LanguageModelSpec:
    """The language model of an agent, as its bundle specifies it."""

    kind: Literal["causal_lm", "transformer_xl"]
    source: str
    layers: int  # the first n; fewer than the model has is allowed
    window: int  # mem_len, in tokens
    sha256: str = ""  # of the weight file, where `source` is a package's file


def load_language_model(
    spec: LanguageModelSpec, *, lm_token_ids: Tensor, tokens_per_step: int, device: str = "cpu"
) -> LanguageModel:
    """Loads the model of `spec` with the embeddings of the vocabulary's words; lm_token_ids: int64 (rows,)."""
    if spec.kind == "transformer_xl":
        return _transformer_xl(spec, lm_token_ids, tokens_per_step, device)
    model: Any = _base_model(spec)
    return CausalLanguageModel(
        model=model.to(device), lm_token_ids=lm_token_ids, window=spec.window, tokens_per_step=tokens_per_step
    )


def _transformer_xl(spec: LanguageModelSpec, lm_token_ids: Tensor, tokens_per_step: int, device: str) -> LanguageModel:

    common: dict[str, Any] = {"layers": spec.layers, "window": spec.window, "tokens_per_step": tokens_per_step}
    kind, _, name = spec.source.partition(":")
    if kind == "random":
        return published.random_transformer_xl(int(name), lm_token_ids=lm_token_ids, **common).to(device)
    if kind in ("file", "hub"):
        folder = Path(name) if kind == "file" else Path(snapshot_download(name, allow_patterns=TRANSFORMER_XL_FILES))
        return published.load_transformer_xl(folder, lm_token_ids=lm_token_ids, **common).to(device)
    raise ValueError(f"language model source {spec.source!r}: transformer_xl takes file:FOLDER, hub:NAME or random:SEED")


def _base_model(spec: LanguageModelSpec) -> PreTrainedModel:
    kind, _, name = spec.source.partition(":")
    if kind == "package":
        return _from_gguf(spec)
    if kind == "random":
        torch.manual_seed(int(name))
        random: PreTrainedModel = AutoModel.from_config(LlamaConfig(**{**SMOLLM2_135M, "num_hidden_layers": spec.layers}))
        return random
    if kind in ("file", "hub"):
        return keep_first_layers(AutoModel.from_pretrained(name, dtype=torch.float32), spec.layers)
    raise ValueError(f"language model source {spec.source!r}: expected package:, file:, hub: or random:")


def keep_first_layers(model: PreTrainedModel, layers: int) -> PreTrainedModel:
    """Drops all but the first `layers` blocks and keeps the final norm; raises ValueError if the model has fewer layers."""
    depth = model.config.num_hidden_layers
    if not 1 <= layers <= depth:
        raise ValueError(f"language model {type(model).__name__}: {layers} layers asked for, it has {depth}")
    name = next(n for n, child in model.named_children() if isinstance(child, nn.ModuleList) and len(child) == depth)
    setattr(model, name, getattr(model, name)[:layers])
    model.config.num_hidden_layers = layers
    return model


def _from_gguf(spec: LanguageModelSpec) -> PreTrainedModel:
    path = package_file(spec.source)
    digest = file_sha256(path)
    if spec.sha256 and digest != spec.sha256:
        raise ValueError(f"language model {spec.source}: SHA-256 is {digest}, the agent was made with {spec.sha256}")
    cached = _cache_folder() / f"{digest[:32]}-layers{spec.layers}"
    if not cached.is_dir():
        _convert(path, spec.layers, cached)
    model: PreTrainedModel = AutoModel.from_config(AutoConfig.from_pretrained(cached), dtype=torch.float32)
    model.load_state_dict(load_file(cached / "model.safetensors"))  # copies: the file stays free
    return model


def _convert(path: Path, layers: int, target: Path) -> None:
    """Writes the first layers as safetensors; concurrent processes write the same content, and one rename succeeds."""
    model = keep_first_layers(AutoModel.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32), layers)
    del model.config.quantization_config  # the tensors are plain float32 now
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        folder = Path(scratch) / "model"
        model.config.save_pretrained(folder)
        tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        write_tensors(folder / "model.safetensors", tensors)
        with contextlib.suppress(OSError):  # another process was first
            os.replace(folder, target)


def _cache_folder() -> Path:
    return Path(os.environ.get("SHELM_CACHE") or Path.home() / ".cache" / "shelm")
