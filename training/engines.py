"""The serving engines as training and evaluation use them: frames -> words, and memory slots."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.domain.vocabulary import Vocabulary
from services.memory.model import MemorySlots
from services.memory.weights import LanguageModelSpec, load_language_model
from services.retrieval.clip_model import load_clip
from services.retrieval.model import TokenRetriever

AGENT = "training"  # stands for the bundle's digest, which does not exist yet


@dataclass(frozen=True)
class Engines:
    """words: frames uint8 (rows, height, width, 3) -> vocabulary rows per frame. dimension: of the memory vector."""

    words: Callable[[NDArray[np.uint8]], list[tuple[int, ...]]]
    slots: MemorySlots
    dimension: int


def load_engines(run: dict[str, Any], *, rows: int) -> Engines:
    """The engines that a run's settings name, with a slot for each of `rows` environments."""
    vocabulary = Vocabulary.load(Path(run["vocabulary"]))
    retriever = TokenRetriever(model=load_clip(run["clip"]).model, vocabulary=vocabulary, k=run["k"], device="cpu")
    spec = LanguageModelSpec(kind="causal_lm", source=run["language_model"], layers=run["layers"], window=run["window"])
    model = load_language_model(spec, word_ids=vocabulary.token_ids, tokens_per_step=run["k"])
    slots = MemorySlots(language_model=model, vocabulary_size=len(vocabulary), agent_digest=AGENT, slots=rows)

    def words(frames: NDArray[np.uint8]) -> list[tuple[int, ...]]:
        return [tuple(word.row for word in found) for found in retriever.retrieve(list(frames))]

    return Engines(words, slots, model.dimension)
