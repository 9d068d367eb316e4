"""Words of the full vocabulary that no caption uses, as extra text negatives: half at random, half those that now win.

Contract: `sample` is a pure function of (seed, iteration) and the last `mine`; after a resume the hard half is mined anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import open_clip
import torch
from torch import Tensor

from training.clip.batches import draw_images
from training.clip.captions import BARE_WORDS

VIEWS = 256  # views that are mined for wrongly winning words
WINNERS = 8  # words kept per view


class Negatives:
    """Extra words: `words` minus `bare_words`. images: (generator, rows) -> normalised images to mine with."""

    def __init__(
        self,
        *,
        words: list[str],
        seed: int,
        bare_words: Sequence[str] = BARE_WORDS,
        images: Callable[[np.random.Generator, int], Tensor] = draw_images,
        context_length: int = 16,
    ) -> None:
        self.words = [word for word in words if word not in bare_words]
        self.images, self.seed = images, seed
        self.tokens = open_clip.SimpleTokenizer(context_length=context_length)(self.words)
        self.hard = np.arange(len(self.words))

    def sample(self, iteration: int, count: int) -> list[str]:
        """`count` words without repetition (fewer where the two halves meet, or where there are no more)."""
        count = min(count, len(self.words))
        rng = np.random.default_rng((self.seed, iteration, 1))
        hard = rng.choice(self.hard, min(count // 2, len(self.hard)), replace=False)
        easy = rng.choice(len(self.words), count - len(hard), replace=False)
        return [self.words[index] for index in np.unique(np.concatenate([hard, easy]))]

    @torch.no_grad()
    def mine(self, model: open_clip.CLIP, iteration: int) -> None:
        """Makes the words that now come nearest to fresh synthetic views the hard ones."""
        rng = np.random.default_rng((self.seed, iteration, 2))
        model.eval()  # batch statistics must not enter
        images = model.encode_image(self.images(rng, VIEWS), normalize=True)
        words = torch.cat([model.encode_text(chunk, normalize=True) for chunk in self.tokens.split(1024)])
        model.train()
        self.hard = (images @ words.T).topk(min(WINNERS, len(self.words)), dim=1).indices.unique().numpy()
