"""Builds a `Llama` from a Hugging Face model folder, or from a model of transformers.

Only the first layers and the embeddings of the vocabulary's words are kept.

Failure policy: ValueError says how many layers the model has, where more are asked for; a folder without the tensors raises
safetensors' own error.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agent.memory.llama import Llama, LlamaBlock, Weights, read_config
from agent.safetensors_file import opened
from agent.shared import shared
from agent.strict_json import read_object
from agent.tensor_checks import check_lm_token_ids, finite

FILE, INDEX = "model.safetensors", "model.safetensors.index.json"


def build_llama(
    weights: Weights,
    config: dict[str, Any],
    *,
    lm_token_ids: Tensor,
    layers: int,
    window: int,
    tokens_per_step: int,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    halved: bool = False,
    identity: str = "",
) -> Llama:
    """Builds the model.

    weights: tensors by their name in a LlamaModel's state dict. config: its `config.json`. layers: the first n. identity:
    of the weights, for example their SHA-256; models with the same one share their layers. Empty: nothing is shared.
    halved: the caller will halve the model, so its layers are shared with such models only.
    """
    depth = config["num_hidden_layers"]
    if not 1 <= layers <= depth:
        raise ValueError(f"language model: {layers} layers asked for, it has {depth}")
    sizes = read_config(config)

    def block(number: int) -> LlamaBlock:
        return LlamaBlock(sizes, lambda name: weights(f"layers.{number}.{name}").float()).to(device=device, dtype=dtype)

    def shared_block(number: int) -> LlamaBlock:
        key = ("llama layer", identity, number, torch.device(device), dtype, halved)
        return shared(key, lambda: block(number)) if identity else block(number)

    table = weights("embed_tokens.weight")
    check_lm_token_ids(lm_token_ids, len(table))
    embeddings = table[lm_token_ids].float()
    return Llama(
        config=sizes,
        embeddings=embeddings.to(device=device, dtype=dtype),
        stack=[shared_block(number) for number in range(layers)],
        final_norm=weights("norm.weight").float(),
        window=window,
        tokens_per_step=tokens_per_step,
    )


def load_llama(folder: Path, config: dict[str, Any], **options: Any) -> Llama:
    """Builds the model from the safetensors files of a folder; options as for `build_llama`."""
    with ExitStack() as stack:
        files = {path.name: stack.enter_context(opened(path)) for path in weight_files(folder)}
        # A model with a head has its base model's tensors under a prefix.
        places = {name.removeprefix("model."): (file, name) for file in files.values() for name in file.keys()}  # noqa: SIM118

        def weights(name: str) -> Tensor:
            file, stored = places[name]
            # Copied, because this is a view of the mapped file, which would stay in memory, and change if it is rewritten.
            return finite(file.get_tensor(stored).clone(), f"language model {folder}: {stored}")

        return build_llama(weights, config, **options)


def has_tensors(folder: Path) -> bool:
    """Says whether a folder has its weights as safetensors."""
    return any((folder / name).is_file() for name in (FILE, INDEX))


def weight_files(folder: Path) -> list[Path]:
    """Returns the safetensors files of a folder; ValueError if its index names one that is not in it."""
    if not (folder / INDEX).is_file():
        return [folder / FILE]
    places = read_object(folder / INDEX).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise ValueError(f"{folder / INDEX}: weight_map: expected an object that says where each tensor is")
    for name in places.values():
        # Another folder's files are not those that the bundle's digest stands for.
        if not isinstance(name, str) or "/" in name or not (folder / name).is_file():
            raise ValueError(f"{folder / INDEX}: weight_map: expected files of this folder, got {name!a}")
    return [folder / name for name in sorted(set(places.values()))]
