"""Measures which words the environments' frames get: `python -m training.clip.evaluate --clip SPEC --vocabulary FILE`.

Contract: on the distinct random-walk frames of each environment (never used in training), measures top-1 accuracy on frames
with exactly one kind of object in view, among the task's words and over the whole vocabulary, with the confusions; and, for
all frames, how often each word is retrieved and how often it is the word of the caption rule. Writes one JSON file. Failure:
a vocabulary that lacks one of the task's words raises ValueError.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from agent.retrieval.clip import FORMS, load_clip
from agent.retrieval.retriever import TokenRetriever
from agent.vocabulary import Vocabulary
from training.clip.captions import BARE_WORDS, captions
from training.clip.frames import ENVIRONMENTS, distinct_frames, single_kinds
from training.quick import parse

STEPS = 5000  # of the random walk
QUICK_STEPS = 60
BATCH = 128


def only(vocabulary: Vocabulary, words: tuple[str, ...]) -> Vocabulary:
    """Returns the vocabulary reduced to these words."""
    absent = set(words) - set(vocabulary.words)
    if absent:
        raise ValueError(f"evaluate: the vocabulary lacks {sorted(absent)}")
    rows = [vocabulary.words.index(word) for word in words]
    return Vocabulary(list(words), vocabulary.embeddings[rows], vocabulary.token_ids[rows])


def words_of(retriever: TokenRetriever, frames: Sequence[NDArray[np.uint8]]) -> list[list[str]]:
    """Returns the k words of each frame, most similar first."""
    chunks = (frames[begin : begin + BATCH] for begin in range(0, len(frames), BATCH))
    return [[word.text for word in words] for chunk in chunks for words in retriever.retrieve(chunk)]


def options(description: str, folder: str) -> argparse.Namespace:
    """Parses the command line of an evaluation: the model, the vocabulary, the output file, and the steps of the walk."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--clip", default=f"file:{folder}/export", help=FORMS)
    parser.add_argument("--vocabulary", type=Path, default=Path(folder) / "vocabulary.safetensors")
    parser.add_argument("--out", type=Path, default=Path(folder) / "evaluation.json")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the random walk")
    return parse(parser, None, steps=QUICK_STEPS)


def write(out: Path, vocabulary: Vocabulary, environments: dict[str, Any]) -> None:
    """Writes the figures of the environments."""
    out.write_text(json.dumps({"rows": len(vocabulary), "environments": environments}, indent=2) + "\n")


def compare(truth: list[str], won: list[str]) -> dict[str, Any]:
    """Returns the fraction of right words, and the confusions as "truth -> retrieved word": count."""
    wrong = Counter(f"{true} -> {word}" for true, word in zip(truth, won, strict=True) if true != word)
    share = 1 - sum(wrong.values()) / len(truth) if truth else None
    return {"top1": share, "wrong": dict(wrong.most_common())}


def evaluate(environment: str, task: TokenRetriever, whole: TokenRetriever, *, steps: int) -> dict[str, Any]:
    """Returns the figures of one environment: accuracy, confusions and counts of retrieved words."""
    views, frames = distinct_frames(environment, steps)
    on_task, on_whole = ([words[0] for words in words_of(retriever, list(frames))] for retriever in (task, whole))
    single = single_kinds(views)
    truth = list(single.values())
    return {
        "frames": len(frames),
        "one_kind": len(single),
        "one_kind_by_word": dict(Counter(truth)),
        "task_words": compare(truth, [on_task[row] for row in single]),
        "whole_vocabulary": compare(truth, [on_whole[row] for row in single]),
        "caption_rule": compare([captions(view).word for view in views], on_whole),
        "winners": dict(Counter(on_whole).most_common()),
    }


def main() -> None:
    """Runs the command."""
    given = options("Evaluate a CLIP model on the environments' own frames.", "runs/clip-minigrid")
    torch.set_num_threads(1)
    model, vocabulary = load_clip(given.clip).model, Vocabulary.load(given.vocabulary)
    whole = TokenRetriever(model=model, vocabulary=vocabulary, k=1, device="cpu")
    task = TokenRetriever(model=model, vocabulary=only(vocabulary, BARE_WORDS), k=1, device="cpu")
    environments = {name: evaluate(name, task, whole, steps=given.steps) for name in tqdm(ENVIRONMENTS, desc="environments")}
    write(given.out, vocabulary, environments)
    for name, row in environments.items():
        shares = f"{row['task_words']['top1'] or 0:.3f} / {row['whole_vocabulary']['top1'] or 0:.3f}"
        print(f"{name}: {row['frames']} frames, {row['one_kind']} with one kind, top-1 {shares}", row["winners"])


if __name__ == "__main__":
    main()
