"""Whether retrieval finds name, colour and state of an object: `python -m training.clip.evaluate_looks`.

Contract: on each environment's distinct random-walk frames (never used in training) with exactly one object in view that
has looks, the share of frames whose first n words over the whole vocabulary are its name and its n - 1 looks, the
share with the name first, and what was found instead. Writes one JSON file.
Failure: as training.clip.evaluate.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from services.domain.vocabulary import Vocabulary
from services.retrieval.clip_model import FORMS, load_clip
from services.retrieval.model import TokenRetriever
from training.clip.captions import BARE_WORDS, LOOKS, captions
from training.clip.evaluate import BATCH, STEPS, only
from training.clip.frames import ENVIRONMENTS, distinct_frames
from training.clip.scenes import OBJECTS

K = 3  # name, colour, state


def evaluate(environment: str, retriever: TokenRetriever) -> dict[str, Any]:
    """The figures of one environment; see the module docstring."""
    views, frames = distinct_frames(environment, STEPS)
    said = [captions(view) for view in views]
    alone = [row for row, view in enumerate(views) if np.isin(view[..., 0], OBJECTS).sum() == 1 and said[row].looks]
    found: list[tuple[str, ...]] = []
    for begin in range(0, len(alone), BATCH):
        some = [frames[row] for row in alone[begin : begin + BATCH]]
        found += [tuple(word.text for word in words) for words in retriever.retrieve(some)]
    named, whole, wrong = 0, 0, Counter[str]()
    for row, words in zip(alone, found, strict=True):
        expected = (said[row].word, *said[row].looks)
        named += words[0] == expected[0]
        whole += (right := set(words[: len(expected)]) == set(expected))
        if not right:
            wrong[f"{' '.join(expected)} -> {' '.join(words[: len(expected)])}"] += 1
    count = len(alone)
    return {
        "frames": count,
        "name_first": named / count if count else None,
        "all": whole / count if count else None,
        "wrong": dict(wrong.most_common()),
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Evaluate names, colours and states on the environments' own frames.")
    parser.add_argument("--clip", default="file:runs/clip-looks/export", help=FORMS)
    parser.add_argument("--vocabulary", type=Path, default=Path("runs/clip-looks/vocabulary.safetensors"))
    parser.add_argument("--out", type=Path, default=Path("runs/clip-looks/evaluation.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    vocabulary = Vocabulary.load(options.vocabulary)
    only(vocabulary, (*BARE_WORDS, *LOOKS))
    retriever = TokenRetriever(model=load_clip(options.clip).model, vocabulary=vocabulary, k=K, device="cpu")
    environments = {name: evaluate(name, retriever) for name in tqdm(ENVIRONMENTS)}
    options.out.write_text(json.dumps({"rows": len(vocabulary), "environments": environments}, indent=2) + "\n")


if __name__ == "__main__":
    main()
