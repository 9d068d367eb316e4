"""Training batches: images, texts, and which texts are true of which image.

Contract: batch `iteration` is a pure function of (seed, iteration), so a resumed run sees the same data. The texts are, in
this order: all bare words, the distinct longer captions of the batch, and extra words that no caption uses. The extra words
are negatives for the image -> text direction: without them, an untrained word of the full vocabulary may have the highest
similarity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from torch import Tensor

from training.clip.augment import augment
from training.clip.captions import BARE_WORDS, LOOKS, Captions, captions
from training.clip.scenes import draw_view
from training.clip.tiles import render

LOOK_SHARES = (0.27, 0.13)  # of the bare-word target: the named object's colour and, of a door, its state
NEAREST = 0.9  # share of the bare-word target on the nearest object where others are in view


@dataclass(frozen=True)
class Batch:
    """One batch of images and texts.

    images: float32 (rows, 3, 56, 56), normalised. texts: strings. captioned: the number of texts, from the start, that are
    captions. word_target: float32 (rows, texts), the target distribution over bare words of each image (rows sum to 1).
    longer_target: int64 (rows,), index of the image's longer caption. true: bool (rows, texts), whether the text is true of
    the image.
    """

    images: Tensor
    texts: list[str]
    captioned: int
    word_target: Tensor
    longer_target: Tensor
    true: Tensor


def normalise(frames: np.ndarray) -> Tensor:
    """Converts uint8 (rows, 56, 56, 3) to float32 (rows, 3, 56, 56) with the exported model's preprocessing."""
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    mean, std = torch.tensor(OPENAI_DATASET_MEAN), torch.tensor(OPENAI_DATASET_STD)
    return (pixels - mean[:, None, None]) / std[:, None, None]


def draw_images(rng: np.random.Generator, rows: int) -> Tensor:
    """Returns normalised images of new synthetic views, float32 (rows, 3, 56, 56)."""
    return normalise(render(np.stack([draw_view(rng) for _ in range(rows)])))


def word_shares(said: Captions, *, looks: bool = False) -> dict[str, float]:
    """Returns the wanted distribution over bare words; with `looks`, over colours and doors' states too."""
    share = NEAREST if said.others else 1.0
    target = {said.word: share} | {other: (1 - share) / len(said.others) for other in said.others}
    if looks:
        for word, part in zip(said.looks, LOOK_SHARES, strict=False):  # only doors have a state
            target[said.word] -= part
            target[word] = part
    return target


def make_batch(
    seed: int, iteration: int, rows: int, negatives: Sequence[str], *, looks: bool = False, augmentation: str = ""
) -> Batch:
    """Returns batch number `iteration`, with `negatives` as extra texts.

    looks: whether colours and states of doors are bare words too. augmentation: a strength of training.clip.augment that
    keeps colours, because captions name them; empty for none.
    """
    rng = np.random.default_rng((seed, iteration))
    views = np.stack([draw_view(rng) for _ in range(rows)])
    said = [captions(view) for view in views]
    chosen = [item.longer[rng.integers(len(item.longer))] for item in said]
    known = list(dict.fromkeys([*BARE_WORDS, *(LOOKS if looks else ()), *chosen]))
    index = {text: column for column, text in enumerate(known)}
    texts = [*known, *negatives]
    word_target, true = torch.zeros(rows, len(texts)), torch.zeros(rows, len(texts), dtype=torch.bool)
    for row, item in enumerate(said):
        for word, share in word_shares(item, looks=looks).items():
            word_target[row, index[word]] = share
        for text in (item.word, *item.longer, *item.looks, *item.other_looks):
            if text in index:
                true[row, index[text]] = True
    longer_target = torch.tensor([index[text] for text in chosen])
    frames = augment(augmentation, render(views), rng) if augmentation else render(views)
    return Batch(normalise(frames), texts, len(known), word_target, longer_target, true)
