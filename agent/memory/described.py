"""What the source of a language model holds, read without its weights: its kind, and the digests that pin it.

A source is as in agent.memory.weights. One rule decides the kind everywhere, in vocabularies, training, bundles and serving:
a folder whose config.json is that of Transformer-XL is one, everything else is a causal language model.

Failure policy: FileNotFoundError or ValueError names the source and the missing file or field.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agent.memory.hub import hub_folder
from agent.memory.transformer_xl.published import FILES, load_words
from agent.sources import file_sha256, package_file, sha256_of_files
from agent.strict_json import read_object

Kind = Literal["causal_lm", "transformer_xl"]
WEIGHTS = {
    "causal_lm": ["config.json", "*.safetensors", "model.safetensors.index.json"],
    "transformer_xl": FILES,
}
WORDS = ["vocab.*", "vocabulary.json"]  # of Transformer-XL
TOKENIZER = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt"]


@dataclass(frozen=True)
class Described:
    """kind: as in a bundle.

    sha256: of the weights: that of a package's file, or of a folder's weight files and config. words_sha256: of what says
    which word a token id stands for, the same for a folder and what agent.memory.transformer_xl.published converts it to.
    Both are empty for random weights.
    """

    kind: Kind
    sha256: str
    words_sha256: str


def kind_of(source: str) -> Kind:
    """Returns the kind of language model that a source holds."""
    scheme, _, _ = source.partition(":")
    if scheme not in ("file", "hub"):
        return "causal_lm"
    return _kind(_config(source, model_folder(source, ["config.json"])))


def model_folder(source: str, patterns: list[str]) -> Path:
    """Returns the folder of a source `file:FOLDER` or `hub:OWNER/NAME@REVISION`; of the latter these files, downloaded."""
    scheme, _, name = source.partition(":")
    return Path(name) if scheme == "file" else hub_folder(name, patterns)


def describe(source: str) -> Described:
    """Describes a source; of a hub's model, after its files are downloaded."""
    if source.startswith("random:"):
        return Described("causal_lm", "", "")
    if source.startswith("package:"):
        digest = file_sha256(package_file(source))
        return Described("causal_lm", digest, digest)
    kind = kind_of(source)
    return Described(kind, folder_sha256(model_folder(source, WEIGHTS[kind]), kind), words_sha256_of(source))


def words_sha256_of(source: str) -> str:
    """Returns `Described.words_sha256` of a source, without a look at its weights."""
    if source.startswith("random:"):
        return ""
    if source.startswith("package:"):
        return file_sha256(package_file(source))
    return words_sha256(model_folder(source, TOKENIZER + WORDS))


def folder_sha256(folder: Path, kind: Kind) -> str:
    """Returns the SHA-256 of the files that a model of this kind is loaded from, with their names."""
    files = [path for path in folder.iterdir() if any(path.match(pattern) for pattern in WEIGHTS[kind])]
    return sha256_of_files({path.name: file_sha256(path) for path in files if not path.name.startswith("vocab")})


def words_sha256(folder: Path) -> str:
    """Returns the SHA-256 of a model folder's tokenizer, or of its list of words; empty if it has neither."""
    tokenizer = [folder / name for name in ("tokenizer.json", "merges.txt") if (folder / name).is_file()]
    if tokenizer:
        return file_sha256(tokenizer[0])
    try:
        return sha256_of_words(load_words(folder))
    except FileNotFoundError:
        return ""


def sha256_of_words(words: Sequence[str]) -> str:
    """Returns the SHA-256 of a list of words, whatever file it was read from."""
    return hashlib.sha256("\n".join(words).encode("utf-8", "surrogatepass")).hexdigest()


def _kind(config: dict[str, Any]) -> Kind:
    # The files of 2019 name no type; only this model has cut-offs of an adaptive embedding.
    named = config.get("model_type")
    is_transformer_xl = named == "transfo-xl" or (named is None and {"cutoffs", "d_model"} <= config.keys())
    return "transformer_xl" if is_transformer_xl else "causal_lm"


def _config(source: str, folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"language model source {source!r}: {path} does not exist")
    return read_object(path)
