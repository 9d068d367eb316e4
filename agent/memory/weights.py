"""Finds and loads the language model that an agent bundle names.

A source is one of
- `package:PACKAGE/FILE.gguf`: a GGUF file in an installed Python package (nothing of the package is executed),
- `file:FOLDER`: a Hugging Face model folder, or a folder with the public transfo-xl-wt103 files,
- `hub:NAME@REVISION`: a model of the Hugging Face hub, at a commit (without one, outside bundles, the latest),
- `random:SEED`: seeded random weights with the real shapes, for benchmarks only.

Reading a GGUF file takes many seconds, so its first layers are cached as safetensors in `SHELM_CACHE` (default
`~/.cache/shelm`), named by the file's SHA-256 and the number of layers. A model of the Llama architecture is computed by
agent.memory.llama, any other one by transformers, which is imported only where it is needed, because that takes seconds.

Failure policy: a missing package, file or tensor raises FileNotFoundError or ValueError that names it. Weights are read
without executing anything (safetensors, GGUF, or torch with `weights_only`).
"""

import contextlib
import os
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from agent.memory import llama
from agent.memory.data_only import DATA_ONLY, check_data_only
from agent.memory.described import WEIGHTS, Kind, folder_sha256, model_folder
from agent.memory.language_model import LanguageModel
from agent.memory.llama_weights import build_llama, has_tensors, load_llama
from agent.memory.ring_transformer import RingTransformer
from agent.memory.transformer_xl import published
from agent.memory.transformer_xl.model import TransformerXL
from agent.memory.transformer_xl.weights import random_transformer_xl
from agent.safetensors_file import write_tensors
from agent.shared import shared
from agent.sources import file_sha256, package_file
from agent.strict_json import read_object

if TYPE_CHECKING:
    from transformers import PreTrainedModel

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

    kind: Kind
    source: str
    layers: int  # the first n; fewer than the model has is allowed
    window: int  # mem_len, in tokens
    sha256: str = ""  # of a package's file, or as in agent.memory.described


def load_language_model(
    spec: LanguageModelSpec,
    *,
    lm_token_ids: Tensor,
    tokens_per_step: int,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> LanguageModel:
    """Loads the model of `spec` with the embeddings of the vocabulary's words.

    lm_token_ids: int64 (rows,). dtype: of weights and arithmetic; float16, on the CPU, of the weights only, where the model
    is computed here and not by transformers.
    """
    halved, dtype = dtype is torch.float16, torch.float32 if dtype is torch.float16 else dtype
    place: dict[str, Any] = {"device": device, "dtype": dtype, "halved": halved}
    common: dict[str, Any] = {"window": spec.window, "tokens_per_step": tokens_per_step}
    if spec.kind == "transformer_xl":
        model: RingTransformer[Any]
        model, identity = _transformer_xl(spec, lm_token_ids=lm_token_ids, layers=spec.layers, **common)
        model.to(device=device, dtype=dtype)
        for number in range(model.layers):
            key = ("transformer_xl layer", identity, number, torch.device(device), dtype, halved)
            model.stack[number] = shared(key, partial(model.stack.__getitem__, number))
    else:
        loaded = _causal_lm(spec, lm_token_ids=lm_token_ids, place=place, **common)
        if not isinstance(loaded, RingTransformer):
            return loaded
        model = loaded
    if halved:
        model.halve()
    return model


def _transformer_xl(spec: LanguageModelSpec, **options: Any) -> tuple[TransformerXL, str]:
    """Returns the model and what identifies its weights."""
    kind, _, name = spec.source.partition(":")
    if kind == "random":
        return random_transformer_xl(int(name), **options), spec.source
    if kind in ("file", "hub"):
        folder = _folder(spec)
        return published.load_transformer_xl(folder, **options), _identity(folder)
    raise ValueError(f"language model source {spec.source!r}: transformer_xl takes file:FOLDER, hub:NAME or random:SEED")


def _causal_lm(spec: LanguageModelSpec, *, place: dict[str, Any], **options: Any) -> LanguageModel:
    kind, _, name = spec.source.partition(":")
    if kind == "random":
        model = _random(int(name), spec.layers)
        return build_llama(model.state_dict().__getitem__, model.config.to_dict(), layers=spec.layers, **place, **options)
    if kind not in ("package", "file", "hub"):
        raise ValueError(f"language model source {spec.source!r}: expected package:, file:, hub: or random:")
    folder = _from_gguf(spec) if kind == "package" else _folder(spec)
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"language model source {spec.source!r}: {folder / 'config.json'} does not exist")
    config = read_object(folder / "config.json")
    check_data_only(config, folder)
    if has_tensors(folder) and not llama.unsupported(config):
        identity = spec.sha256 or _identity(folder)
        return load_llama(folder, config, layers=spec.layers, identity=identity, **place, **options)
    from agent.memory.causal_lm import CausalLanguageModel
    from agent.memory.hugging_face import load_folder

    whole: Any = keep_first_layers(load_folder(folder), spec.layers)
    return CausalLanguageModel(model=whole.to(device=place["device"], dtype=place["dtype"]), **options)


def _folder(spec: LanguageModelSpec) -> Path:
    """Returns the model's folder; of a hub's model, if its files are those that the agent was made with."""
    folder = model_folder(spec.source, WEIGHTS[spec.kind])
    if spec.sha256 and (digest := folder_sha256(folder, spec.kind)) != spec.sha256:
        raise ValueError(f"language model {spec.source}: SHA-256 is {digest}, the agent was made with {spec.sha256}")
    return folder


def _identity(folder: Path) -> str:
    """Returns what identifies the weights in a folder: the SHA-256 of their files."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin"))
    return " ".join(file_sha256(path) for path in files)


def _random(seed: int, layers: int) -> "PreTrainedModel":
    from transformers import AutoModel, LlamaConfig

    if layers > SMOLLM2_135M["num_hidden_layers"]:  # memory that no file has to be large for
        raise ValueError(
            f"language model random:{seed}: {layers} layers asked for, it has {SMOLLM2_135M['num_hidden_layers']}"
        )
    torch.manual_seed(seed)
    random: PreTrainedModel = AutoModel.from_config(LlamaConfig(**{**SMOLLM2_135M, "num_hidden_layers": layers}))
    return random


def memory_dimension(spec: LanguageModelSpec) -> int:
    """Returns the dimension of the memory vectors of `spec`, without loading it."""
    if spec.source.startswith("random:"):
        return 1024 if spec.kind == "transformer_xl" else int(SMOLLM2_135M["hidden_size"])
    folder = _from_gguf(spec) if spec.source.startswith("package:") else _folder(spec)
    if spec.kind == "transformer_xl":
        return published.read_config(folder).d_model
    return int(read_object(folder / "config.json")["hidden_size"])


def keep_first_layers(model: "PreTrainedModel", layers: int) -> "PreTrainedModel":
    """Drops all but the first `layers` blocks and keeps the final norm; raises ValueError if the model has fewer layers."""
    depth = model.config.num_hidden_layers
    if not 1 <= layers <= depth:
        raise ValueError(f"language model {type(model).__name__}: {layers} layers asked for, it has {depth}")
    name = next(n for n, child in model.named_children() if isinstance(child, nn.ModuleList) and len(child) == depth)
    setattr(model, name, getattr(model, name)[:layers])
    model.config.num_hidden_layers = layers
    return model


def _from_gguf(spec: LanguageModelSpec) -> Path:
    """Returns the folder with the converted first layers; converts them if they are not there."""
    path = package_file(spec.source)
    digest = file_sha256(path)
    if spec.sha256 and digest != spec.sha256:
        raise ValueError(f"language model {spec.source}: SHA-256 is {digest}, the agent was made with {spec.sha256}")
    cached = _cache_folder() / f"{digest[:32]}-layers{spec.layers}"
    if not cached.is_dir():
        _convert(path, spec.layers, cached)
    return cached


def _convert(path: Path, layers: int, target: Path) -> None:
    """Writes the first layers as safetensors; concurrent processes write the same content, and one rename succeeds."""
    from transformers import AutoModel

    model = keep_first_layers(
        AutoModel.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32, **DATA_ONLY), layers
    )
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
