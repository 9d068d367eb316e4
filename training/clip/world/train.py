"""Trains the small CLIP on rendered MiniWorld scenes: `python -m training.clip.world.train --out runs/clip-world`.

Contract, options and failures: as training.clip.train. The image tower is cheap, since nearly every frame of a 3-D world is
a new one: 6x8 patches of 10 pixels, three layers of width 128. It takes the 60x80 frame whole, where a square model would
cut a quarter of its width off.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.clip import folder
from training.clip.batches import Batch, normalise
from training.clip.train import Scenes, train
from training.clip.world import scenes
from training.clip.world.words import BARE_WORDS, Said

SIZE = (60, 80)
MODEL_CFG: dict[str, Any] = folder.MODEL_CFG | {
    "vision_cfg": {"image_size": SIZE, "layers": 3, "width": 128, "head_width": 32, "patch_size": 10},
    # "a sign that says green box" and the two control tokens
    "text_cfg": folder.MODEL_CFG["text_cfg"] | {"context_length": 8},
}
PREPROCESS_CFG: dict[str, Any] = folder.PREPROCESS_CFG | {"size": SIZE}


@lru_cache(maxsize=1)
def _scenes() -> scenes.Scenes:
    return scenes.Scenes()


def draw_images(rng: np.random.Generator, rows: int) -> Tensor:
    """Normalised images of fresh views, float32 (rows, 3, 60, 80)."""
    return normalise(_scenes().draw(rng, rows)[0])


def label(images: Tensor, said: Sequence[Said], chosen: Sequence[str], negatives: Sequence[str]) -> Batch:
    """The batch of images with their captions, the one longer caption of each that is `chosen`, and extra words."""
    known = list(dict.fromkeys([*BARE_WORDS, *chosen]))
    index = {text: column for column, text in enumerate(known)}
    texts = [*known, *negatives]
    word_target, true = torch.zeros(len(said), len(texts)), torch.zeros(len(said), len(texts), dtype=torch.bool)
    for row, item in enumerate(said):
        for word, share in item.words.items():
            word_target[row, index[word]] = share
        for text in (*item.true, *item.longer):
            if text in index:
                true[row, index[text]] = True
    return Batch(images, texts, len(known), word_target, torch.tensor([index[text] for text in chosen]), true)


def make_batch(seed: int, iteration: int, rows: int, negatives: Sequence[str]) -> Batch:
    """Batch number `iteration`, a pure function of (seed, iteration) but for `negatives`."""
    rng = np.random.default_rng((seed, iteration))
    frames, said = _scenes().draw(rng, rows)
    chosen = [item.longer[rng.integers(len(item.longer))] for item in said]
    return label(normalise(frames), said, chosen, negatives)


WORLD = Scenes(BARE_WORDS, make_batch, draw_images, MODEL_CFG, PREPROCESS_CFG)

if __name__ == "__main__":
    train(WORLD, "Train the small CLIP on rendered MiniWorld scenes.")
