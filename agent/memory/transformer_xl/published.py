"""The public transfo-xl-wt103 files: loads the model from them, and converts them to files without pickles.

A model folder contains `config.json`, the weights as `model.safetensors` or `pytorch_model.bin`, and a vocabulary. Nothing
in it is executed (docs/paper.md#q25): torch files are read with `weights_only`, the vocabulary as described in
`published_words`. Tensors keep their published names, with or without the prefix `transformer.` of the language-model head.
One that the head shares with the embedding may be there under the head's name alone: whoever saves tied tensors once
chooses which.

`python -m agent.memory.transformer_xl.published SOURCE TARGET`, where SOURCE is a folder or hub:OWNER/NAME[@REVISION],
writes config.json, model.safetensors and vocabulary.json, without pickles and output layers. Loading the result reads only
the requested layers from disk.

Failure policy: FileNotFoundError names the missing file; ValueError names the file and the invalid field or tensor.
"""

import argparse
import dataclasses
import json
import pickle
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from agent.memory.hub import hub_folder
from agent.memory.transformer_xl.model import TransformerXL, TransformerXLConfig
from agent.memory.transformer_xl.published_words import load_words
from agent.memory.transformer_xl.weights import (
    Shape,
    TensorSource,
    assemble_transformer_xl,
    published_shapes,
    random_transformer_xl,
)
from agent.safetensors_file import reading, write_tensors
from agent.strict_json import read_object
from agent.tensor_checks import check_storage, finite

# What a model is read from, as the hub has it.
FILES = ["config.json", "model.safetensors", "pytorch_model.bin", "vocab.*", "vocabulary.json"]
__all__ = ["FILES", "convert", "load_transformer_xl", "load_words", "random_transformer_xl"]

# The only values supported here, which are those of wt103; the published code supports others.
REQUIRED = {"attn_type": 0, "pre_lnorm": False, "same_length": True, "untie_r": True}


def load_transformer_xl(
    path: str | Path,
    *,
    lm_token_ids: Tensor,
    window: int,
    tokens_per_step: int,
    layers: int | None = None,
    empty_visible: bool = True,
) -> TransformerXL:
    """Loads the model from a folder; the arguments are those of `assemble_transformer_xl`. The file's own `mem_len` is
    ignored.
    """
    folder = Path(path)
    config = read_config(folder)
    return assemble_transformer_xl(
        open_tensors(folder),
        config=config,
        lm_token_ids=lm_token_ids,
        window=window,
        tokens_per_step=tokens_per_step,
        layers=layers,
        empty_visible=empty_visible,
    )


def read_config(folder: Path) -> TransformerXLConfig:
    """Reads the sizes in `config.json`; missing fields have the library's defaults, which are those of wt103."""
    path = folder / "config.json"
    fields = read_object(path)
    for name, value in REQUIRED.items():
        if fields.get(name, value) != value:
            raise ValueError(f"{path}: {name} is {fields[name]!r}, only {value!r} is supported")
    known = {field.name: fields[field.name] for field in dataclasses.fields(TransformerXLConfig) if field.name in fields}
    known["cutoffs"] = tuple(known.get("cutoffs", TransformerXLConfig.cutoffs))
    _check_sizes(known, path)
    config = TransformerXLConfig(**known)
    if config.div_val < 2:
        raise ValueError(f"{path}: div_val is {config.div_val}, only an adaptive embedding (2 or more) is supported")
    if list(config.cutoffs) != sorted(set(config.cutoffs)) or config.cutoffs[-1:] >= (config.vocab_size,):
        raise ValueError(f"{path}: cutoffs: expected ascending numbers below {config.vocab_size}, got {config.cutoffs}")
    return config


def _check_sizes(fields: dict[str, Any], path: Path) -> None:
    """Settings can claim any size in a few bytes; no tensor is large only because of them."""
    for name, value in fields.items():
        sizes = value if isinstance(value, tuple) else (value,)
        most = {"n_layer": 1024, "vocab_size": 10**7, "cutoffs": 10**7}.get(name, 65_536)
        if name not in ("layer_norm_epsilon", "clamp_len") and not all(
            isinstance(size, int) and 0 < size <= most for size in sizes
        ):
            raise ValueError(f"{path}: {name}: expected 1..{most}, got {value!a}")


def open_tensors(folder: Path) -> TensorSource:
    """Returns a function that reads float32 tensors of a model folder by published name and checks their shapes."""
    path, names, read = _open_weights(folder)
    tied = _tied(folder)

    def tensor(name: str, shape: Shape) -> Tensor:
        found = next((full for full in (name, f"transformer.{name}", tied.get(name)) if full in names), None)
        if found is None:
            raise ValueError(f"{path}: no tensor {name}")
        value = read(found)
        check_storage(value, f"{path}: tensor {found}")
        if tuple(value.shape) != shape:
            raise ValueError(f"{path}: tensor {found} has shape {tuple(value.shape)}, expected {shape}")
        return finite(value, f"{path}: tensor {found}").float()

    return tensor


def _tied(folder: Path) -> dict[str, str]:
    """Returns the names in the head of the embedding's tensors that it shares."""
    config = read_object(folder / "config.json")
    clusters = range(len(config.get("cutoffs", TransformerXLConfig.cutoffs)) + 1)
    projections = config.get("tie_projs", [False, *[True] * (len(clusters) - 1)])
    layers = {f"word_emb.emb_layers.{i}.weight": f"crit.out_layers.{i}.weight" for i in clusters}
    shared = {f"word_emb.emb_projs.{i}": f"crit.out_projs.{i}" for i in clusters if i < len(projections) and projections[i]}
    return shared | (layers if config.get("tie_weight", True) else {})


def _open_weights(folder: Path) -> tuple[Path, set[str], Callable[[str], Tensor]]:
    """Returns the weight file, the names in it, and a function that reads one tensor."""
    path = folder / "model.safetensors"
    if path.is_file():
        with reading(path):
            file = safe_open(path, framework="pt")
        # Copied, because these tensors are views of the mapped file: rewriting it in place would change or kill the model.
        return path, set(file.keys()), lambda name: file.get_tensor(name).clone()  # type: ignore[no-untyped-call]
    path = folder / "pytorch_model.bin"
    if not path.is_file():
        raise FileNotFoundError(f"{folder}: neither model.safetensors nor pytorch_model.bin")
    try:
        tensors = dict(torch.load(path, map_location="cpu", weights_only=True))
    except (pickle.UnpicklingError, RuntimeError, EOFError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
    return path, {name for name, value in tensors.items() if isinstance(value, Tensor)}, tensors.__getitem__


def convert(source: Path, target: Path) -> None:
    """Converts the model folder `source` and writes the result to `target`, after checking every tensor and the vocabulary
    size.
    """
    config, words, tensors = read_config(source), load_words(source), open_tensors(source)
    if len(words) != config.vocab_size:
        raise ValueError(f"{source}: the vocabulary has {len(words)} words, config.json says {config.vocab_size}")
    weights = {name: tensors(name, shape).contiguous() for name, shape in published_shapes(config).items()}
    target.mkdir(parents=True, exist_ok=True)
    write_tensors(target / "model.safetensors", weights)
    (target / "vocabulary.json").write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")
    shutil.copyfile(source / "config.json", target / "config.json")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command `python -m agent.memory.transformer_xl.published SOURCE TARGET`."""
    parser = argparse.ArgumentParser(description="Rewrite the public transfo-xl-wt103 files without pickles.")
    parser.add_argument(
        "source", help="folder with config.json, the weights and the vocabulary, or hub:OWNER/NAME[@REVISION]"
    )
    parser.add_argument("target", type=Path, help="folder to write config.json, model.safetensors, vocabulary.json to")
    options = parser.parse_args(arguments)
    of_hub = options.source.startswith("hub:")
    source = hub_folder(options.source.removeprefix("hub:"), FILES) if of_hub else Path(options.source)
    convert(source, options.target)
    print(f"wrote {options.target}")


if __name__ == "__main__":
    main()
