"""Retrieval: frames -> the k most similar words of the vocabulary (docs/paper.md#vocabulary).

Contract: pure computation. The embeddings of frame and vocabulary are L2-normalised, the similarity is their dot product in
float32, whatever the tower computes in, and the k words with the highest similarity are returned in descending order; ties
are resolved by the lower row. Only the image tower is kept; frames go to the device in one copy, and the k words of each
come back in one (docs/paper.md#q12). Results are cached by fingerprint in a bounded LRU cache. The result of a frame does
not depend on the other frames of a call, up to rounding of matrix products at different batch sizes: in float32,
similarities may differ around the seventh digit, so words can only change if two are almost equally similar. A cached frame
keeps its first result.

Failure: a frame that is not uint8 (height, width, 3) raises ValueError, with what was expected and given, before anything is
computed. Not safe for concurrent calls: one caller at a time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize

from agent.cuda_graphs import graphed
from agent.frame import Frame, Observation
from agent.retrieval.image_tower import image_tower
from agent.retrieval.preprocess import Mode, Preprocessing
from agent.retrieval.ranking import normalised_vocabulary, ranked, top_keys
from agent.vocabulary import Vocabulary, Word

GRAPHED = 16  # frames, up to which launching a tower's operations takes longer on a GPU than computing them


def check_frame(frame: NDArray[Any], index: int) -> None:
    """Raises ValueError unless `frame` is uint8 (height, width, 3) with at least one pixel."""
    shape, dtype = getattr(frame, "shape", None), getattr(frame, "dtype", type(frame).__name__)
    if shape is None or len(shape) != 3 or shape[2] != 3 or 0 in shape or dtype != np.uint8:
        raise ValueError(f"frame {index}: expected uint8 (height, width, 3), got {dtype} {shape}")


class TokenRetriever:
    """Retrieval with one CLIP model and one vocabulary.

    model: any open_clip model, whose image tower is kept, or a tower of agent.retrieval.image_tower; it is moved to `device`
    and `dtype`, in which it computes. preprocessing: "model" or "reference", as in agent.retrieval.preprocess. cache_frames:
    maximum size of the cache, 0 disables it. `hits` and `misses` count the frames that were and were not in the cache.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        vocabulary: Vocabulary,
        k: int,
        device: torch.device | str,
        dtype: torch.dtype = torch.float32,
        preprocessing: Mode = "model",
        cache_frames: int = 4096,
    ) -> None:
        if not 1 <= k <= len(vocabulary):
            raise ValueError(f"k: expected 1..{len(vocabulary)} (rows of the vocabulary), got {k}")
        self.k, self.vocabulary, self.words, self.device = k, vocabulary, vocabulary.words, torch.device(device)
        self.visual, self.dtype = image_tower(model, device=self.device, dtype=dtype), dtype
        cfg: Any = self.visual.preprocess_cfg
        self.preprocess = Preprocessing(cfg=cfg, mode=preprocessing, device=self.device)
        self._normalised = normalised_vocabulary(vocabulary, self.device)  # shared while it is held
        self.embeddings = self._normalised.embeddings
        self.cache_frames, self.hits, self.misses = cache_frames, 0, 0
        self._cache: OrderedDict[bytes, list[Word]] = OrderedDict()
        self._best = graphed(lambda pixels: top_keys(self._similarities(pixels), self.k), self.device, most=GRAPHED)

    def retrieve(self, frames: Sequence[Frame]) -> list[list[Word]]:
        """Returns the k words of each frame uint8 (height, width, 3), most similar first; frame sizes may differ within a
        call.
        """
        for index, frame in enumerate(frames):
            check_frame(frame, index)
        return self.retrieve_observations([Observation.of(frame) for frame in frames])

    def retrieve_observations(self, observations: Sequence[Observation]) -> list[list[Word]]:
        """Does the same as `retrieve` for frames that have already been validated and fingerprinted."""
        keys = [one.fingerprint for one in observations]
        found = {key: self._cache[key] for key in keys if key in self._cache}
        missing = {one.fingerprint: one.frame for one in observations if one.fingerprint not in found}
        self.hits += sum(key in found for key in keys)
        self.misses += sum(key in missing for key in keys)
        found |= self._compute(missing)
        for key in found:
            self._remember(key, found[key])
        return [list(found[key]) for key in keys]  # copies, so that a caller cannot change the cache

    def _compute(self, frames: dict[bytes, Frame]) -> dict[bytes, list[Word]]:
        """Runs one forward pass per frame size."""
        by_size: dict[tuple[int, ...], list[bytes]] = {}
        for key, frame in frames.items():
            by_size.setdefault(frame.shape, []).append(key)
        results: dict[bytes, list[Word]] = {}
        for keys in by_size.values():
            results |= zip(keys, self._words([frames[key] for key in keys]), strict=True)
        return results

    @torch.inference_mode()
    def similarities(self, frames: list[Frame]) -> Tensor:
        """Returns the cosine similarity of frames of one size to every word: float32 (frames, rows) on the device."""
        return self._similarities(self.preprocess(frames))

    def _similarities(self, pixels: Tensor) -> Tensor:
        features = self.visual(pixels.to(self.dtype))
        if isinstance(features, tuple):  # CoCa's tower also returns its patch tokens
            features = features[0]
        return normalize(features.float(), dim=-1) @ self.embeddings.T

    @torch.inference_mode()
    def _words(self, frames: list[Frame]) -> list[list[Word]]:
        rows, similarities = ranked(self._best(self.preprocess(frames)))
        return [
            [Word(row, self.words[row], value) for row, value in zip(best, values, strict=True)]
            for best, values in zip(rows.tolist(), similarities.tolist(), strict=True)
        ]

    def _remember(self, key: bytes, words: list[Word]) -> None:
        self._cache[key] = words
        self._cache.move_to_end(key)
        if len(self._cache) > self.cache_frames:
            self._cache.popitem(last=False)
