"""Trains the small CLIP on rendered MiniWorld scenes: `python -m training.clip.world.train --out runs/clip-world`.

Contract, options and failures: as training.clip.train; views that are missing in runs/clip-world-data are rendered first.
The image tower is a small version of open_clip's ResNet: convolutions learn small objects and letters from far fewer views
than a transformer of this size. Its input is square, so the 60x80 frame is resized to 64x64 without cropping.
"""

from __future__ import annotations

import argparse
from typing import Any

from training.clip import folder
from training.clip.train import Scenes, train
from training.clip.world.views import SIZE, Views
from training.clip.world.words import BARE_WORDS

PEAK_RATE = 1e-3
QUICK_VIEWS = 64
MODEL_CFG: dict[str, Any] = folder.MODEL_CFG | {
    "vision_cfg": {"image_size": SIZE, "layers": [1, 1, 2, 1], "width": 24, "head_width": 64},
    # "a sign that says green box" and the two control tokens
    "text_cfg": folder.MODEL_CFG["text_cfg"] | {"context_length": 8},
}
PREPROCESS_CFG: dict[str, Any] = folder.PREPROCESS_CFG | {"size": SIZE, "resize_mode": "squash"}


def world(views: Views) -> Scenes:
    """Returns the training on `views`."""
    return Scenes(BARE_WORDS, views.batch, views.images, MODEL_CFG, PREPROCESS_CFG, PEAK_RATE, bfloat16=True)


def scenes(options: argparse.Namespace) -> Scenes:
    """Returns the training of the command; with `--quick` on a few views of its own."""
    return world(Views(options.out / "data", shards=1, views=QUICK_VIEWS) if options.quick else Views())


if __name__ == "__main__":
    train(scenes, "Train the small CLIP on rendered MiniWorld scenes.", iterations=2000, negatives=64)
