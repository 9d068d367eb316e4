"""Training batches of rendered MiniWorld views (data.py), with random augmentation.

Contract: a batch is a pure function of (seed, iteration, negatives) and the data folder, whose missing shards are rendered
when first needed. Views are resized to the model's square input by PIL's bicubic filter, as in open_clip's own transform.
Augmentation changes brightness and contrast and shifts the view; views without a sign are mirrored half of the time. Hues
are kept, because colours are words.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from training.clip.batches import Batch, normalise
from training.clip.world import data
from training.clip.world.words import BARE_WORDS, Said

SIZE = 64
SHIFT = 3  # pixels at most
CONTRAST, BRIGHTNESS = 0.25, 20.0  # share, grey levels
Frames = NDArray[np.uint8]


def squash(frames: Frames) -> Frames:
    """Resizes uint8 (rows, height, width, 3) to (rows, 64, 64, 3)."""
    bicubic = Image.Resampling.BICUBIC
    return np.stack([np.asarray(Image.fromarray(frame).resize((SIZE, SIZE), bicubic)) for frame in frames])


def shows_sign(said: Said) -> bool:
    """Returns whether a sign is in view, readable or not."""
    return any("sign" in text for text in (*said.true, *said.longer))


def change(rng: np.random.Generator, frames: Frames, mirrored: NDArray[np.bool_]) -> Frames:
    """Returns the views, uint8 (rows, 64, 64, 3), with other light and slightly shifted; those `mirrored` are flipped
    horizontally.
    """
    turned = np.where(mirrored[:, None, None, None], frames[:, :, ::-1], frames)
    wide = np.pad(turned, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), "edge")
    rows = rng.integers(2 * SHIFT + 1, size=len(frames))[:, None] + np.arange(SIZE)
    columns = rng.integers(2 * SHIFT + 1, size=len(frames))[:, None] + np.arange(SIZE)
    moved = wide[np.arange(len(frames))[:, None, None], rows[:, :, None], columns[:, None, :]].astype(np.float32)
    contrast = rng.uniform(1 - CONTRAST, 1 + CONTRAST, (len(frames), 1, 1, 1))
    brightness = rng.uniform(-BRIGHTNESS, BRIGHTNESS, (len(frames), 1, 1, 1))
    mean = moved.mean(axis=(1, 2, 3), keepdims=True)
    lit: Frames = np.clip((moved - mean) * contrast + mean + brightness, 0, 255).astype(np.uint8)
    return lit


def label(images: Tensor, said: Sequence[Said], chosen: Sequence[str], negatives: Sequence[str]) -> Batch:
    """Returns the batch of images with their captions, the one longer caption of each that is `chosen`, and extra words."""
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


class Views:
    """The views of one data folder."""

    def __init__(self, folder: Path = data.FOLDER, *, shards: int = data.SHARDS, views: int = data.VIEWS) -> None:
        self.folder, self.shards, self.views = folder, shards, views

    @cached_property
    def _loaded(self) -> tuple[Frames, list[Said], NDArray[np.bool_]]:
        """Returns resized frames, captions, and which views may be mirrored."""
        data.make(self.folder, shards=self.shards, views=self.views)
        frames, said = data.load(self.folder)
        return squash(frames), said, np.array([not shows_sign(item) for item in said])

    def images(self, rng: np.random.Generator, rows: int) -> Tensor:
        """Returns normalised images of random views, without augmentation, float32 (rows, 3, 64, 64)."""
        frames = self._loaded[0]
        return normalise(frames[rng.integers(len(frames), size=rows)])

    def batch(self, seed: int, iteration: int, rows: int, negatives: Sequence[str]) -> Batch:
        """Returns batch number `iteration`."""
        frames, said, mirrors = self._loaded
        rng = np.random.default_rng((seed, iteration))
        drawn = rng.choice(len(frames), rows, replace=False)
        images = change(rng, frames[drawn], mirrors[drawn] & (rng.random(rows) < 0.5))
        items = [said[row] for row in drawn]
        chosen = [item.longer[rng.integers(len(item.longer))] for item in items]
        return label(normalise(images), items, chosen, negatives)
