"""Reads the words of the public transfo-xl-wt103 vocabulary without executing anything that the file contains.

The published files are pickles: `vocab.bin` is a dict saved with torch, and `vocab.pkl` is the `__dict__` of the library's
TransfoXLTokenizer as its `save_vocabulary` writes it. A pickle can call any function of any module by name, therefore:
- only `collections.OrderedDict` and `collections.Counter`, which contain the words, are resolved;
- objects that the words do not need (sacremoses objects, compiled patterns, library classes) are recognised by a fixed list
  of modules and replaced by an inert placeholder: nothing is imported or called;
- any other name raises an error before anything is executed.

Files saved with torch are read with `torch.load(weights_only=True)`, which applies the same rule to the two containers.
Plain lists are supported too: `.json` (a list of words, written by the converter) and `.txt` (one word per line).

Failure policy: FileNotFoundError for a missing file; ValueError that names the file and the reason for everything else.
"""

import json
import pickle
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

FILES = ("vocabulary.json", "vocab.json", "vocab.txt", "vocab.bin", "vocab.pkl")  # in a folder, the first that exists
PERMITTED: Mapping[tuple[str, str], type] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "Counter"): Counter,
}
INERT_MODULES = {"re", "sacremoses", "tokenizers", "transformers"}
TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # what a file in torch's older format unpickles to


class _Inert:
    """Placeholder for an object that the words do not need; accepts any arguments and stores nothing."""

    def __new__(cls, *_arguments: Any) -> "_Inert":
        return super().__new__(cls)

    def __init__(self, *_arguments: Any) -> None: ...

    def __setstate__(self, _state: Any) -> None: ...


class _WordsUnpickler(pickle.Unpickler):
    """An unpickler that can only create plain values, the two permitted containers and placeholders."""

    def find_class(self, module: str, name: str, /) -> type:
        if (module, name) in PERMITTED:
            return PERMITTED[module, name]
        if module.partition(".")[0] in INERT_MODULES:
            return _Inert
        raise pickle.UnpicklingError(f"it refers to {module}.{name}, which no vocabulary needs")


def load_words(path: str | Path) -> list[str]:
    """Returns the words of a vocabulary file, or of the vocabulary file in a model folder; the index is the token id."""
    path = _find(Path(path))
    readers = {".json": _read_json, ".txt": _read_text}
    try:
        words = readers.get(path.suffix, _read_pickle)(path)
    except (
        pickle.UnpicklingError,
        UnicodeDecodeError,
        EOFError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        RuntimeError,
    ) as error:
        raise ValueError(f"vocabulary {path}: {error}") from error
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise ValueError(f"vocabulary {path}: expected a list of words")
    if len(set(words)) != len(words):
        raise ValueError(f"vocabulary {path}: {len(words) - len(set(words))} words occur twice")
    return words


def _find(path: Path) -> Path:
    if path.is_dir():
        return next((path / name for name in FILES if (path / name).is_file()), path / FILES[0])
    return path


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _read_text(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="\n") as file:  # other line separators may be words
        lines = [line.split() for line in file]
    if [] in lines:
        raise ValueError(f"line {lines.index([]) + 1} has no word")
    return [line[0] for line in lines]  # as in the library, what follows a word (such as a count) is ignored


def _read_pickle(path: Path) -> Any:
    saved = _unpickle(path)
    if not isinstance(saved, dict) or not {"idx2sym", "sym2idx"} & saved.keys():
        raise ValueError("expected a dict with idx2sym or sym2idx")
    if saved.get("idx2sym"):
        return saved["idx2sym"]
    numbered = sorted((number, word) for word, number in saved["sym2idx"].items())
    if [number for number, _ in numbered] != list(range(len(numbered))):
        raise ValueError("the numbers of its sym2idx are not 0, 1, 2, ...")
    return [word for _, word in numbered]


def _unpickle(path: Path) -> Any:
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            first = _WordsUnpickler(file).load()
        if first != TORCH_MAGIC:
            return first
    return torch.load(path, map_location="cpu", weights_only=True)
