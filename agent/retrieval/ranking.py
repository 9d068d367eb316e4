"""Ranks the words of a vocabulary by similarity, with one rule for ties: the lower row comes first.

`top_keys` runs on the device and `ranked` on the CPU, so that only k numbers of each frame come back, in one copy.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from agent.shared import shared
from agent.vocabulary import Vocabulary

_LOW = 0xFFFFFFFF


class NormalisedVocabulary:
    """A vocabulary's embeddings on a device, L2-normalised, float32 (rows, dim)."""

    def __init__(self, vocabulary: Vocabulary, device: torch.device) -> None:
        self.vocabulary, self.embeddings = vocabulary, normalize(vocabulary.embeddings.to(device), dim=-1)


def normalised_vocabulary(vocabulary: Vocabulary, device: torch.device) -> NormalisedVocabulary:
    """Returns the normalised embeddings, once for all users of the same vocabulary object."""
    # The value holds the vocabulary, so the id cannot become another object's while the value lives.
    return shared((NormalisedVocabulary, id(vocabulary), device), lambda: NormalisedVocabulary(vocabulary, device))


def _ordered(bits: Tensor) -> Tensor:
    """float32 bits as int32 <-> integers that are ordered like the numbers; its own inverse."""
    return torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)


def top_keys(similarities: Tensor, k: int) -> Tensor:
    """float32 (frames, rows) -> int64 (frames, k), descending: the k highest similarities with their rows, for `ranked`.

    torch.topk leaves the order of equal values undefined, so it is applied to unique integers: the upper bits are the
    similarity in an order-preserving form, the lower bits the row.
    """
    ordered = _ordered((similarities + 0.0).view(torch.int32)).long()  # + 0.0 makes -0.0 equal to 0.0
    rows = torch.arange(similarities.shape[1], device=similarities.device)
    return ((ordered << 32) - rows).topk(k, dim=1).values


def ranked(keys: Tensor) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Reads `top_keys`: rows int64 (frames, k) and similarities float32 (frames, k)."""
    keys = keys.cpu()
    rows = -keys & _LOW
    similarities = _ordered(((keys + rows) >> 32).int()).view(torch.float32)
    return rows.numpy(), similarities.numpy()
