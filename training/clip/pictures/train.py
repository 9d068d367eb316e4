"""Trains the small CLIP on the pictures of continuous recognition: `python -m training.clip.pictures.train --out FOLDER`.

Contract: as training.clip.train (AdamW, checkpoint every 50 iterations, `--resume` with the same data, `OUT/export` and
`OUT/training.json`). Extra words of the full vocabulary are negatives, half at random, half those that now win.
Failure: without `--resume` an existing checkpoint stops the start; missing pictures raise `PicturesMissingError`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from torch.nn.functional import normalize as unit
from tqdm import trange

from services.retrieval.language_words import load_language_words
from services.retrieval.overlap import overlap
from training.clip.batches import normalise
from training.clip.loss import contrastive
from training.clip.pictures.model import build, export
from training.clip.pictures.samples import Samples
from training.clip.pictures.words import assign_words
from training.clip.train import DECAY, LANGUAGE_MODEL, MINE_EVERY, PEAK_RATE, SAVE_EVERY, learning_rate
from training.environments.own import RECOGNITION, gallery

WINNERS = 8  # hard negatives kept per view


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the small CLIP on the pictures of continuous recognition.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--iterations", type=int, default=1200)
    parser.add_argument("--rows", type=int, default=64, help="images in a batch")
    parser.add_argument("--negatives", type=int, default=128, help="extra words in a batch")
    parser.add_argument("--language-model", default=LANGUAGE_MODEL, help="whose words the full vocabulary holds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args()


def known_words(language_model: str) -> list[str]:
    """The words that CLIP and the language model share."""
    return [entry.word for entry in overlap(load_language_words(language_model), "words")]


class Trainer:
    """Model, optimiser, hard negatives and loss curve of one run."""

    def __init__(self, *, options: argparse.Namespace) -> None:
        torch.manual_seed(options.seed)
        self.options, self.model = options, build().train()
        self.tokenizer = open_clip.SimpleTokenizer(context_length=self.model.context_length)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=PEAK_RATE, weight_decay=DECAY, betas=(0.9, 0.98))
        pictures = gallery(RECOGNITION)
        known = known_words(options.language_model)
        # All pictures' words together would tell a held-out picture's word; the matching sees the training names alone.
        self.samples = Samples(pictures, assign_words([picture.name for picture in pictures.pictures], set(known)))
        self.vocabulary = sorted(set(known) - set(self.samples.words))
        self.tokens = self.tokenizer(self.vocabulary)
        self.hard = np.arange(len(self.vocabulary))
        self.losses: list[float] = []

    def negatives(self, iteration: int) -> list[str]:
        """Extra words of a batch: a pure function of (seed, iteration) and the last `mine`."""
        rng = np.random.default_rng((self.options.seed, iteration, 1))
        count = min(self.options.negatives, len(self.vocabulary))
        hard = rng.choice(self.hard, min(count // 2, len(self.hard)), replace=False)
        easy = rng.choice(len(self.vocabulary), count - len(hard), replace=False)
        return [self.vocabulary[index] for index in np.unique(np.concatenate([hard, easy]))]

    @torch.no_grad()
    def mine(self, iteration: int) -> None:
        """Makes the words that now come nearest to fresh views the hard ones."""
        frames, _ = self.samples.draw(np.random.default_rng((self.options.seed, iteration, 2)), self.options.rows)
        images = self.model.encode_image(normalise(np.ascontiguousarray(frames)), normalize=True)
        words = torch.cat([self.model.encode_text(chunk, normalize=True) for chunk in self.tokens.split(1024)])
        nearest = (images @ words.T).topk(min(WINNERS, len(self.vocabulary)), dim=1).indices
        self.hard = nearest.unique().numpy()

    def step(self, iteration: int) -> float:
        """One update; returns the loss."""
        batch = self.samples.batch(self.options.seed, iteration, self.options.rows, self.negatives(iteration))
        images = self.model.encode_image(batch.images, normalize=True)
        texts = unit(self.model.encode_text(self.tokenizer(batch.texts)), dim=-1)
        loss = contrastive(self.model.logit_scale.exp() * images @ texts.T, batch)
        self.optimizer.param_groups[0]["lr"] = learning_rate(iteration, self.options.iterations)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.model.logit_scale.data.clamp_(max=4.6052)  # ln 100, as CLIP bounds it
        return loss.item()

    def save(self) -> None:
        """Replaces the checkpoint, the export and the record."""
        out: Path = self.options.out
        out.mkdir(parents=True, exist_ok=True)
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "losses": self.losses}
        torch.save(state, out / "checkpoint.tmp")
        (out / "checkpoint.tmp").replace(out / "checkpoint.pt")
        export(self.model, out / "export")
        settings = {name: str(value) for name, value in vars(self.options).items()}
        (out / "training.json").write_text(json.dumps({"settings": settings, "losses": self.losses}) + "\n")

    def load(self) -> None:
        """Goes on from the checkpoint in `--out`."""
        state: dict[str, Any] = torch.load(self.options.out / "checkpoint.pt", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.losses = state["losses"]

    def run(self) -> None:
        """All iterations that are left."""
        begin, iterations = len(self.losses), self.options.iterations
        bar = trange(begin, iterations, initial=begin, total=iterations, desc="clip", unit="it", mininterval=5)
        for iteration in bar:
            if iteration and (iteration % MINE_EVERY == 0 or iteration == begin):
                self.mine(iteration)
            self.losses.append(self.step(iteration))
            bar.set_postfix(loss=f"{self.losses[-1]:.3f}", refresh=False)
            if (iteration + 1) % SAVE_EVERY == 0 or iteration + 1 == iterations:
                self.save()


def main() -> None:
    options = parse()
    torch.set_num_threads(options.threads)
    if (options.out / "checkpoint.pt").exists() and not options.resume:
        raise SystemExit(f"{options.out}/checkpoint.pt exists: pass --resume to go on, or another --out")
    trainer = Trainer(options=options)
    if options.resume:
        trainer.load()
    begin = time.monotonic()
    trainer.run()
    print(f"trained in {time.monotonic() - begin:.0f} s; open_clip folder: {options.out}/export")


if __name__ == "__main__":
    main()
