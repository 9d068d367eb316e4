"""Labelled views for the small CLIP: frames and their words.

Contract: the environment's own views (training pictures only). Half of the pictures are rotated, mirrored, scaled down and
recoloured, so that unseen pictures get words of their own too. Batch `iteration` is a pure function of (seed, iteration) and
the negatives. While the whole picture is in view, the word is the picture's; farther aside it is the direction, on a button
its meaning, and on the cross "cross". These are few words, so that they do not displace the pictures' words from the memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from training.clip.batches import Batch, normalise
from training.clip.pictures.words import CROSS, LEFT, NEW, OLD, PLACES, RIGHT
from training.environments.recognition import game, view
from training.environments.recognition.pictures import SIDE, Picture

ASIDE = 2  # cells from the middle at which a picture is no longer whole
NAMING = [place for place, (yaw, _) in enumerate(view.CELLS) if abs(yaw) < ASIDE]  # views that name the picture
OTHERS = [place for place in range(view.VIEWS) if place not in NAMING]
SHARES = (0.8, 0.12)  # of the views in a batch: pictures named, pictures aside; the rest shows the cross
CHANGED = 0.5  # share of the pictures that are changed


def place_word(place: int) -> str:
    """Returns the word of a view that does not name its picture (`place` in OTHERS)."""
    for button, word in ((game.NEW, NEW), (game.OLD, OLD)):
        if place in (view.PLACE[button], view.WRONG[button]):
            return word
    return LEFT if view.CELLS[place][0] < 0 else RIGHT


def change(picture: Picture, rng: np.random.Generator) -> Picture:
    """Rotates, mirrors, scales down and recolours a picture at random."""
    image = Image.fromarray(picture.pixels)
    image = ImageOps.mirror(image) if rng.random() < 0.5 else image
    image = image.rotate(rng.uniform(-20, 20), Image.Resampling.BILINEAR, fillcolor="white")
    for enhance in (ImageEnhance.Color, ImageEnhance.Brightness, ImageEnhance.Contrast):
        image = enhance(image).enhance(rng.uniform(0.7, 1.3))
    side = int(rng.uniform(0.7, 1) * SIDE)
    canvas = Image.new("RGB", (SIDE, SIDE), "white")
    canvas.paste(image.resize((side, side)), tuple(rng.integers(0, SIDE - side + 1, 2).tolist()))
    return Picture(picture.name, np.asarray(canvas))


@dataclass(frozen=True)
class Samples:
    """The gallery's pictures, with one word for each."""

    gallery: view.Gallery
    words: Sequence[str]

    def draw(self, rng: np.random.Generator, rows: int) -> tuple[NDArray[np.uint8], list[tuple[str, str]]]:
        """Returns frames uint8 (rows, 64, 64, 3), with the word and a longer caption of each (the word itself if there is
        none).
        """
        frames, said = [], []
        for kind in rng.choice(3, rows, p=(*SHARES, 1 - sum(SHARES))):
            picture = int(rng.integers(len(self.words)))
            place = int(rng.choice(NAMING if kind == 0 else OTHERS if kind == 1 else len(view.CELLS)))
            if kind == 0:
                said.append((self.words[picture], self.gallery.pictures[picture].name))
            else:
                said.append((place_word(place) if kind == 1 else CROSS,) * 2)
            if kind == 0 and rng.random() < CHANGED:
                frames.append(self.gallery.look_at(change(self.gallery.pictures[picture], rng), place))
            else:
                frames.append(self.gallery.views([view.CROSS if kind == 2 else picture + 1], [place])[0])
        return np.stack(frames).transpose(0, 2, 3, 1), said

    def images(self, rng: np.random.Generator, rows: int) -> Tensor:
        """Returns normalised images of random views, float32 (rows, 3, 64, 64)."""
        return normalise(np.ascontiguousarray(self.draw(rng, rows)[0]))

    def batch(self, seed: int, iteration: int, rows: int, negatives: Sequence[str]) -> Batch:
        """Returns batch number `iteration`; its texts are all words, its pictures' longer captions, and `negatives`."""
        frames, said = self.draw(np.random.default_rng((seed, iteration)), rows)
        known = list(dict.fromkeys([*PLACES, *self.words, *(caption for _, caption in said)]))
        texts = [*known, *(word for word in negatives if word not in known)]
        column = {text: index for index, text in enumerate(texts)}
        words, longer = (torch.tensor([column[text] for text in part]) for part in zip(*said, strict=True))
        word_target = torch.zeros(rows, len(texts)).scatter_(1, words[:, None], 1.0)
        true = (word_target > 0).scatter_(1, longer[:, None], True)
        return Batch(normalise(np.ascontiguousarray(frames)), texts, len(known), word_target, longer, true)
