"""Measures whether retrieval finds name, colour and state of an object: `python -m training.clip.evaluate_looks`.

Contract: on the distinct random-walk frames of each environment (never used in training) with exactly one object in view
that has attributes, measures the fraction of frames whose first n words over the whole vocabulary are its name and its n - 1
attributes, the fraction with the name first, and the confusions. Writes one JSON file. Failure: as training.clip.evaluate.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from agent.retrieval.clip import load_clip
from agent.retrieval.retriever import TokenRetriever
from agent.vocabulary import Vocabulary
from training.clip.captions import BARE_WORDS, LOOKS, captions
from training.clip.evaluate import only, options, words_of, write
from training.clip.frames import ENVIRONMENTS, distinct_frames
from training.clip.scenes import OBJECTS

K = 3  # name, colour, state


def evaluate(environment: str, retriever: TokenRetriever, *, steps: int) -> dict[str, Any]:
    """Returns the figures of one environment."""
    views, frames = distinct_frames(environment, steps)
    said = [captions(view) for view in views]
    alone = [row for row, view in enumerate(views) if np.isin(view[..., 0], OBJECTS).sum() == 1 and said[row].looks]
    found = words_of(retriever, [frames[row] for row in alone])
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
    """Runs the command."""
    given = options("Evaluate names, colours and states on the environments' own frames.", "runs/clip-looks")
    torch.set_num_threads(1)
    vocabulary = Vocabulary.load(given.vocabulary)
    only(vocabulary, (*BARE_WORDS, *LOOKS))
    retriever = TokenRetriever(model=load_clip(given.clip).model, vocabulary=vocabulary, k=K, device="cpu")
    write(given.out, vocabulary, {name: evaluate(name, retriever, steps=given.steps) for name in tqdm(ENVIRONMENTS)})


if __name__ == "__main__":
    main()
