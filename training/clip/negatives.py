"""Extra text negatives from the full vocabulary that no caption uses: half random, half hard negatives.

Contract: `sample` is a pure function of (seed, iteration) and the last `mine`; after a resume the hard negatives are mined
again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import open_clip
import torch
from torch import Tensor

from training.clip.batches import draw_images
from training.clip.captions import BARE_WORDS

VIEWS = 256  # views used for mining
WINNERS = 8  # words kept per view


class Negatives:
    """Extra words: `words` minus `bare_words`. images: (generator, rows) -> normalised images for mining."""

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
        """Returns `count` distinct words (fewer if the two halves overlap, or if there are not enough)."""
        count = min(count, len(self.words))
        rng = np.random.default_rng((self.seed, iteration, 1))
        hard = rng.choice(self.hard, min(count // 2, len(self.hard)), replace=False)
        easy = rng.choice(len(self.words), count - len(hard), replace=False)
        return [self.words[index] for index in np.unique(np.concatenate([hard, easy]))]

    @torch.no_grad()
    def mine(self, model: open_clip.CLIP, iteration: int) -> None:
        """Selects the words most similar to new synthetic views as the hard negatives."""
        rng = np.random.default_rng((self.seed, iteration, 2))
        model.eval()  # batch statistics must not be used
        images = model.encode_image(self.images(rng, VIEWS), normalize=True)
        words = torch.cat([model.encode_text(chunk, normalize=True) for chunk in self.tokens.split(1024)])
        model.train()
        self.hard = (images @ words.T).topk(min(WINNERS, len(self.words)), dim=1).indices.unique().numpy()
