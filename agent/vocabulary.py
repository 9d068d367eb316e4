"""The vocabulary: the words that can be remembered, with their CLIP text embeddings (the paper's semantic database).

Contract: row i of every field is the same word; rows are in ascending CLIP id. One safetensors file contains everything,
with the provenance (overlap mode, prompts, names of both models, sizes) in its metadata. Embeddings may be stored in float16
and are always float32 in memory.

Failure: a file that is not a vocabulary, or whose fields differ in length, raises ValueError naming the file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from agent.bundle import AgentBundle
from agent.safetensors_file import opened, write_tensors
from agent.shared import shared
from agent.sources import sha256_of_files
from agent.strict_json import parse_json
from agent.tensor_checks import finite

FORMAT = "shelm-vocabulary-1"
FIELDS = {
    "words": (torch.uint8,),
    "embeddings": (torch.float16, torch.bfloat16, torch.float32),
    "token_ids": (torch.int32, torch.int64),
}


@dataclass(frozen=True, slots=True)
class Word:
    """A word retrieved for a frame: its row in the vocabulary, its text, and its cosine similarity in [-1, 1]."""

    row: int
    text: str
    similarity: float


@dataclass(frozen=True)
class Vocabulary:
    """The words that an agent can remember.

    words: the text of each row. embeddings: float32 (rows, dim), CLIP text embeddings, not normalised
    (docs/paper.md#vocabulary). token_ids: int64 (rows,), the language model's id of each word. provenance: how the
    vocabulary was built.
    """

    words: list[str]
    embeddings: Tensor
    token_ids: Tensor
    provenance: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = len(self.words)
        if self.embeddings.ndim != 2 or len(self.embeddings) != rows or self.token_ids.shape != (rows,):
            shapes = f"embeddings {tuple(self.embeddings.shape)}, token_ids {tuple(self.token_ids.shape)}"
            raise ValueError(f"vocabulary: expected embeddings ({rows}, dim) and token_ids ({rows},), got {shapes}")
        if self.embeddings.dtype != torch.float32 or self.token_ids.dtype != torch.int64:
            types = f"{self.embeddings.dtype} and {self.token_ids.dtype}"
            raise ValueError(f"vocabulary: expected float32 embeddings and int64 token_ids, got {types}")

        if rows and int(self.token_ids.min()) < 0:  # it would count from the table's end
            raise ValueError(f"vocabulary: token_ids: expected 0 or more, got {int(self.token_ids.min())}")
        finite(self.embeddings, "vocabulary: embeddings")

    def __len__(self) -> int:
        return len(self.words)

    def check_made_for(self, *, clip_sha256: str, words_sha256: str) -> None:
        """Raises ValueError if the vocabulary was made for another CLIP model or language model.

        clip_sha256: as in agent.retrieval.clip. words_sha256: as in agent.memory.described. What is empty, or not stated by
        a vocabulary of an earlier version, is not compared.
        """
        compared = (
            ("CLIP model", "clip", "clip_sha256", clip_sha256),
            ("language model", "language_model", "language_model_words_sha256", words_sha256),
        )
        for what, name, key, digest in compared:
            made_for = self.provenance.get(key, "")
            if made_for and digest and made_for != digest:
                of = f"{self.provenance.get(name, '')} ({made_for[:12]})"
                raise ValueError(f"the vocabulary was made for another {what}, {of}; this one is {digest[:12]}")

    def save(self, path: Path, *, dtype: torch.dtype = torch.float16) -> None:
        """Writes one safetensors file; `dtype` is the dtype of the stored embeddings."""
        text = json.dumps(self.words, ensure_ascii=False).encode()
        tensors = {
            "embeddings": self.embeddings.to(dtype).contiguous(),
            "token_ids": self.token_ids.to(torch.int32),
            # JSON in a byte tensor: words of the reference overlap may contain any character, including line ends.
            "words": torch.frombuffer(bytearray(text), dtype=torch.uint8),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(path, tensors, {**self.provenance, "format": FORMAT})

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Reads a file that `save` wrote."""
        with opened(path) as file:
            metadata = dict(file.metadata() or {})
            if metadata.pop("format", None) != FORMAT:
                raise ValueError(f"{path}: expected a vocabulary of format {FORMAT!r}")
            tensors = {name: file.get_tensor(name) for name in FIELDS if name in file.keys()}  # noqa: SIM118
        for name, kinds in FIELDS.items():
            if name not in tensors or tensors[name].dtype not in kinds:
                found = tensors[name].dtype if name in tensors else "none"
                raise ValueError(f"{path}: {name}: expected a tensor of {' or '.join(map(str, kinds))}, got {found}")
        words = _words(bytes(tensors["words"].numpy()), f"{path}: words")
        try:
            return cls(words, tensors["embeddings"].float(), tensors["token_ids"].long(), metadata)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def _words(text: bytes, what: str) -> list[str]:
    try:
        words = parse_json(text.decode(), what)
    except UnicodeDecodeError as error:
        raise ValueError(f"{what}: {error}") from None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{what}: expected a list of texts")
    return words


def load_vocabulary(bundle: AgentBundle) -> Vocabulary:
    """Loads the vocabulary of a bundle, once for all bundles that have the same file.

    Raises ValueError if it was made for another CLIP model or language model than the bundle's.
    """
    retrieval, memory, files = bundle.manifest.retrieval, bundle.manifest.memory, bundle.manifest.files
    found = shared((Vocabulary, files[retrieval.vocabulary]), lambda: Vocabulary.load(bundle.path(retrieval.vocabulary)))
    folder = retrieval.clip.removeprefix("file:").rstrip("/") + "/"
    clip = {name.removeprefix(folder): digest for name, digest in files.items() if name.startswith(f"{folder}open_clip_")}
    try:
        found.check_made_for(clip_sha256=sha256_of_files(clip) if clip else "", words_sha256=memory.words)
    except ValueError as error:
        raise ValueError(f"agent {bundle.name}: {error}") from None
    return found
