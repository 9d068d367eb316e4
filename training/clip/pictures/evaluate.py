"""Evaluates the words of the pictures: `python -m training.clip.pictures.evaluate --out runs/clip-pictures`.

Contract: over the environment's own views, for the training pictures and for the held-out ones, measures `consistency`
(fraction of the views naming a picture whose word is that of the middle view), `distinct` (number of different words of the
middle views), `collision` (probability that two pictures share their word), and how often the intended word is the first and
among the first 4, among the pictures' words and in the whole vocabulary. `places` is the fraction of right words on the
views that name no picture. Reads `OUT/export` and `OUT/vocabulary.safetensors`, writes `OUT/evaluation.json`. Failure:
missing pictures raise `PicturesMissingError`; a missing vocabulary raises safetensors' error.
"""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agent.retrieval.clip import load_clip
from agent.retrieval.retriever import TokenRetriever
from agent.vocabulary import Vocabulary
from training.clip.pictures.samples import NAMING, OTHERS, place_word
from training.clip.pictures.words import CROSS, assign_words
from training.environments.own import HELD_OUT, RECOGNITION, gallery
from training.environments.recognition import view


def retrieved(retriever: TokenRetriever, shown: view.Gallery, contents: list[int], places: list[int]) -> list[list[str]]:
    """Returns the words of each view, most similar first."""
    frames = shown.views(contents, places).transpose(0, 2, 3, 1)
    return [[word.text for word in found] for found in retriever.retrieve(list(np.ascontiguousarray(frames)))]


def share(hits: list[bool]) -> float:
    """Returns the mean, rounded."""
    return round(float(np.mean(hits)), 4)


def evaluate_pictures(retriever: TokenRetriever, task: TokenRetriever, shown: view.Gallery) -> dict[str, Any]:
    """Returns the figures of one set of pictures."""
    names = [picture.name for picture in shown.pictures]
    intended = assign_words(names, set(retriever.words))
    contents = list(range(1, len(names) + 1))
    middle = [view.PLACE[0, 0]] * len(names)
    whole, narrow = (retrieved(engine, shown, contents, middle) for engine in (retriever, task))
    alike = [
        found[0] == whole[content - 1][0]
        for content in contents
        for found in retrieved(retriever, shown, [content] * len(NAMING), NAMING)
    ]
    counts = Counter(found[0] for found in whole)
    pairs = len(names) * (len(names) - 1)
    return {
        "pictures": len(names),
        "intended_distinct": len(set(intended)),
        "consistency": share(alike),
        "distinct": len(counts),
        "collision": round(sum(n * (n - 1) for n in counts.values()) / pairs, 5),
        "top1": share([word == found[0] for word, found in zip(intended, whole, strict=True)]),
        "top4": share([word in found for word, found in zip(intended, whole, strict=True)]),
        "top1_picture_words": share([word == found[0] for word, found in zip(intended, narrow, strict=True)]),
        "top4_picture_words": share([word in found for word, found in zip(intended, narrow, strict=True)]),
        "most_common": dict(counts.most_common(10)),
        "words": {name: found[0] for name, found in zip(names, whole, strict=True)},
    }


def evaluate_places(retriever: TokenRetriever, shown: view.Gallery) -> dict[str, Any]:
    """Returns the fraction of right words on the views that name no picture."""
    cells = list(range(len(view.CELLS)))
    cross = [found[0] == CROSS for found in retrieved(retriever, shown, [view.CROSS] * len(cells), cells)]
    aside = [
        found[0] == place_word(place)
        for content in range(1, len(shown.pictures) + 1)
        for place, found in zip(OTHERS, retrieved(retriever, shown, [content] * len(OTHERS), OTHERS), strict=True)
    ]
    return {"cross": share(cross), "aside": share(aside)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Evaluate the small CLIP on the pictures of continuous recognition.")
    parser.add_argument("--out", type=Path, required=True)
    out: Path = parser.parse_args().out
    torch.set_num_threads(1)
    model, vocabulary = load_clip(f"file:{out}/export").model, Vocabulary.load(out / "vocabulary.safetensors")
    sets = {"training": gallery(RECOGNITION), "held_out": gallery(HELD_OUT)}
    words = {
        word
        for shown in sets.values()
        for word in assign_words([picture.name for picture in shown.pictures], set(vocabulary.words))
    }
    rows = [row for row, word in enumerate(vocabulary.words) if word in words]
    narrow = Vocabulary([vocabulary.words[row] for row in rows], vocabulary.embeddings[rows], vocabulary.token_ids[rows])
    whole, task = (TokenRetriever(model=model, vocabulary=part, k=4, device="cpu") for part in (vocabulary, narrow))
    report: dict[str, Any] = {"vocabulary": len(vocabulary), "picture_words": len(rows)}
    for name, shown in sets.items():
        report[name] = evaluate_pictures(whole, task, shown) | {"places": evaluate_places(whole, shown)}
    (out / "evaluation.json").write_text(json.dumps(report, indent=2) + "\n")
    for name in sets:
        print(name, {key: value for key, value in report[name].items() if key != "words"})


if __name__ == "__main__":
    main()
