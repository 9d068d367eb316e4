"""Trains CLIP models of several shapes and qualities, and measures what each says: `python -m training.clip.encoders`.

Contract: for each name of ENCODERS, `--out`/NAME gets `export` (a model in open_clip's format) and `vocabulary.safetensors`,
which training.ppo takes as `--clip file:.../export --vocabulary ...`, and `measured.json`: how often a frame of MemoryS11
with one kind of object gets its name, and how often two such frames of different kinds get the same word. A training that
exists is not repeated, an interrupted one is resumed. "permuted" has the shipped model and its vocabulary with the words in
another order, so that every frame keeps a word of its own, which means nothing. Failure: as of training.clip.train.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from agent.build_vocabulary.build import build_vocabulary
from agent.build_vocabulary.language_words import load_language_words
from agent.build_vocabulary.prompts import load_prompts
from agent.retrieval.clip import load_clip
from agent.retrieval.retriever import TokenRetriever
from agent.vocabulary import Vocabulary
from training.clip.captions import BARE_WORDS
from training.clip.conflation import conflated
from training.clip.evaluate import compare, only, words_of
from training.clip.folder import MODEL_CFG
from training.clip.frames import distinct_frames, single_kinds
from training.clip.train import GRID, LANGUAGE_MODEL, Scenes, Trainer, run
from training.quick import parse
from training.word_edits import write

SHIPPED = Path("models/minigrid-memory")
S11 = "MiniGrid-MemoryS11-v0"
STEPS = 5000  # of the random walk
FULL, SHORT = 600, 40  # iterations of a training


@dataclass(frozen=True)
class Encoder:
    """One CLIP model. vision: what differs of the image tower; None: the shipped model. permuted: the words are."""

    vision: dict[str, Any] | None = None
    iterations: int = FULL
    permuted: bool = False


ENCODERS = {
    "shipped": Encoder(),
    "patch14": Encoder({"patch_size": 14}),
    "patch28": Encoder({"patch_size": 28}),
    "resnet": Encoder({"layers": [1, 1, 1, 1], "width": 32, "head_width": 64}),
    "short": Encoder({}, iterations=SHORT),
    "permuted": Encoder(permuted=True),
}


def scenes(vision: dict[str, Any]) -> Scenes:
    """Returns the scenes of the shipped model, with another image tower."""
    return replace(GRID, model_cfg={**MODEL_CFG, "vision_cfg": {**MODEL_CFG["vision_cfg"], **vision}})


def train(encoder: Encoder, folder: Path, options: argparse.Namespace) -> None:
    """Trains the model, unless it exists, and builds its vocabulary; copies the shipped ones."""
    if encoder.vision is None:
        shutil.copytree(SHIPPED / "clip", folder / "export", dirs_exist_ok=True)
        vocabulary = Vocabulary.load(SHIPPED / "vocabulary.safetensors")
        (permuted(vocabulary) if encoder.permuted else vocabulary).save(folder / "vocabulary.safetensors")
        return
    given = argparse.Namespace(**{**vars(options), "out": folder, "iterations": min(encoder.iterations, options.iterations)})
    shape = scenes(encoder.vision)
    run(given, lambda: Trainer(options=given, scenes=shape))
    words = load_language_words(options.language_model)
    clip = load_clip(f"file:{folder}/export")
    build_vocabulary(clip=clip, language_model=words, mode="words", prompts=load_prompts("none")).save(
        folder / "vocabulary.safetensors"
    )


def permuted(vocabulary: Vocabulary) -> Vocabulary:
    """Returns the vocabulary with each embedding under the word half the rows further on."""
    half = len(vocabulary) // 2
    words = vocabulary.words[half:] + vocabulary.words[:half]
    return Vocabulary(words, vocabulary.embeddings, vocabulary.token_ids.roll(-half))


def measure(folder: Path, steps: int) -> dict[str, Any]:
    """Returns the figures of a trained model on the frames of a random walk with one kind of object in view."""
    model, vocabulary = load_clip(f"file:{folder}/export").model, Vocabulary.load(folder / "vocabulary.safetensors")
    views, frames = distinct_frames(S11, steps)
    single = single_kinds(views)
    truth = list(single.values())
    found: dict[str, Any] = {"env": S11, "frames": len(single)}
    for name, words in (("task_words", only(vocabulary, BARE_WORDS)), ("whole_vocabulary", vocabulary)):
        retriever = TokenRetriever(model=model, vocabulary=words, k=1, device="cpu")
        won = [one[0] for one in words_of(retriever, [frames[row] for row in single])]
        found[name] = compare(truth, won)
    found["pairs"], found["pairs_same_word"] = conflated(truth, won)
    found["words"] = len(set(won))
    return found


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/encoders"))
    parser.add_argument("--only", choices=ENCODERS, nargs="+", default=list(ENCODERS), metavar="NAME")
    parser.add_argument("--iterations", type=int, default=FULL, help="at most")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the random walk")
    parser.add_argument("--rows", type=int, default=128, help="images per batch")
    parser.set_defaults(language_model=LANGUAGE_MODEL, negatives=256, augment="", seed=0, threads=1, resume=True)
    options = parse(parser, arguments, iterations=2, rows=8, steps=60)
    torch.set_num_threads(1)
    for name in options.only:
        folder = options.out / name
        train(ENCODERS[name], folder, options)
        write(folder / "measured.json", "training.clip.encoders", arguments, measure(folder, options.steps))


if __name__ == "__main__":
    main()
