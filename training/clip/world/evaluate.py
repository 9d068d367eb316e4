"""Measures which words MiniWorld's own frames get: `python -m training.clip.world.evaluate --out runs/clip-world`.

Contract: reads OUT/export, writes OUT/evaluation.json. On the frames of each environment with exactly one clearly visible
object (`CLEAR_TEST` pixels or more, and nothing else), measures top-1 accuracy among the bare words; top-1 and top-4
accuracy over the whole vocabulary; confusions; how often the object's second word (its colour, or the kind on a sign) is
among the first two; top-1 accuracy among the names of objects only, unless the object is a readable sign; and top-1 accuracy
by the object's size. On frames without objects, measures the same for the place. The model computes the vocabulary's text
embeddings here.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from agent.build_vocabulary.build import build_vocabulary
from agent.build_vocabulary.language_words import load_language_words
from agent.retrieval.clip import load_clip
from agent.retrieval.retriever import TokenRetriever
from agent.vocabulary import Vocabulary
from training.clip.evaluate import compare, only, words_of
from training.clip.train import LANGUAGE_MODEL
from training.clip.world.frames import ENVIRONMENTS, Met, walk
from training.clip.world.words import BARE_WORDS, COLOURED, MESHES, Said, Seen, caption
from training.quick import parse

FRAMES, QUICK_FRAMES, CLEAR_TEST, TOP = 1000, 60, 24, 4
SIZES = (CLEAR_TEST, 48, 96, 192)  # pixels of the 4,800 at which a class of sizes begins
OBJECT_WORDS = (*COLOURED, *MESHES.values(), "sign")


def score(said: list[Said], task: list[list[str]], whole: list[list[str]]) -> dict[str, Any]:
    """Returns the figures of one set of frames."""
    truth = [item.first for item in said]
    second = [sorted(item.words, key=lambda word: -item.words[word])[1] for item in said if len(item.words) > 1]
    pairs = [(item, found) for item, found in zip(said, whole, strict=True) if len(item.words) > 1]
    return {
        "frames": len(said),
        "by_word": dict(Counter(truth)),
        "task_words": compare(truth, [found[0] for found in task]),
        "whole_vocabulary": compare(truth, [found[0] for found in whole]),
        "whole_top4": sum(word in found for word, found in zip(truth, whole, strict=True)) / max(1, len(said)),
        "second_word_in_top2": sum(word in found[:2] for word, (_, found) in zip(second, pairs, strict=True))
        / max(1, len(second)),
    }


def single(things: list[Seen]) -> bool:
    """Returns whether there is exactly one object, clearly visible and, for signs, readable."""
    return len(things) == 1 and things[0].pixels >= CLEAR_TEST and (things[0].kind != "sign" or len(things[0].text) > 0)


def by_size(things: list[Seen], said: list[Said], found: list[list[str]]) -> dict[str, list[int]]:
    """Returns frames with the right word and all frames, by the minimum pixels of each size class."""
    counts = {size: [0, 0] for size in SIZES}
    for thing, item, words in zip(things, said, found, strict=True):
        count = counts[max(size for size in SIZES if size <= thing.pixels)]
        count[0] += words[0] == item.first
        count[1] += 1
    return {str(size): count for size, count in counts.items()}


def figures_of_objects(rows: list[Met], task: TokenRetriever, objects: TokenRetriever) -> dict[str, Any]:
    """Returns the figures of frames with exactly one object, in addition to `score`."""
    frames, things = [frame for frame, _, _ in rows], [seen[0] for _, seen, _ in rows]
    said = [caption([thing], place) for thing, (_, _, place) in zip(things, rows, strict=True)]
    named = [row for row, thing in enumerate(things) if not thing.text]
    best = [words[0] for words in words_of(objects, [frames[row] for row in named])]
    return {
        "by_size": by_size(things, said, words_of(task, frames)),
        "object_words": compare([things[row].kind for row in named], best),
    }


def evaluate(environment: str, frames: int, retrievers: Sequence[TokenRetriever]) -> dict[str, Any]:
    """Returns the figures of one environment. retrievers: whole vocabulary, task, objects."""
    whole, task, objects = retrievers
    met = walk(environment, frames)
    report: dict[str, Any] = {}
    sets = {
        "one_object": [row for row in met if single(row[1])],
        "nothing": [row for row in met if not row[1]],
    }
    for name, rows in sets.items():
        shown = [frame for frame, _, _ in rows]
        said = [caption(things, place) for _, things, place in rows]
        report[name] = score(said, words_of(task, shown), words_of(whole, shown))
    alone = report["one_object"] | figures_of_objects(sets["one_object"], task, objects)
    return report | {"one_object": alone}


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description="Evaluate the small CLIP of MiniWorld on the environments' own frames.")
    parser.add_argument("--out", type=Path, default=Path("runs/clip-world"))
    parser.add_argument("--frames", type=int, default=FRAMES, help="of each environment's random walk")
    options = parse(parser, None, frames=QUICK_FRAMES)
    torch.set_num_threads(1)
    clip = load_clip(f"file:{options.out}/export")
    language = load_language_words(LANGUAGE_MODEL)
    vocabulary: Vocabulary = build_vocabulary(clip=clip, language_model=language, mode="words", prompts=["{}"])
    retrievers = [
        TokenRetriever(model=clip.model, vocabulary=words, k=TOP, device="cpu")
        for words in (vocabulary, only(vocabulary, BARE_WORDS), only(vocabulary, OBJECT_WORDS))
    ]
    report = {name: evaluate(name, options.frames, retrievers) for name in tqdm(ENVIRONMENTS)}
    result = {"rows": len(vocabulary), "environments": report}
    (options.out / "evaluation.json").write_text(json.dumps(result, indent=2) + "\n")
    for name, sets in report.items():
        for kind, row in sets.items():
            top1 = f"{row['task_words']['top1'] or 0:.3f} / {row['whole_vocabulary']['top1'] or 0:.3f}"
            print(f"{name} {kind}: {row['frames']} frames, top-1 {top1}, top-4 {row['whole_top4']:.3f}, {row['by_word']}")


if __name__ == "__main__":
    main()
