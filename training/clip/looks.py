"""Trains a small CLIP that also retrieves attributes of objects: `python -m training.clip.looks --out runs/clip-looks`.

Contract, options and failures: as training.clip.train, on the same scenes. In addition to the nearest object's name, the
words are its colour and, for a door, whether it is open, closed or locked. RedBlueDoors cannot be remembered in words
without them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from training.clip.batches import make_batch
from training.clip.captions import BARE_WORDS, LOOKS
from training.clip.train import GRID, train

LOOKING = replace(GRID, bare_words=(*BARE_WORDS, *LOOKS), batch=partial(make_batch, looks=True))

if __name__ == "__main__":
    train(lambda _: LOOKING, "Train the small CLIP of names, colours and doors' states on rendered MiniGrid scenes.")
