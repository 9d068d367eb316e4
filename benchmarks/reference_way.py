"""The reference way to compute a step, in our own words, on the weights of our engines (docs/paper.md#q12, #memory).

All episodes advance together, one step at a time. Memory keeps the inputs of every layer for the whole window and projects
them again at every step, queries, keys and values alike, and the encodings of all distances too. Retrieval encodes every
frame, also one that it has just seen, normalises the vocabulary at every step, sorts all similarities on the host, and
looks the words up row by row.

Failure policy: none of its own.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from agent.frame import Frame
from agent.memory.attention import attend
from agent.memory.llama import Llama
from agent.memory.ring_transformer import RingTransformer, merged
from agent.memory.transformer_xl.model import Layer, TransformerXL, sinusoids
from agent.vocabulary import Vocabulary


class ReferenceRetrieval:
    """frames -> the k most similar words. tower: open_clip's, (rows, 3, size, size) -> (rows, dim)."""

    def __init__(self, *, tower: nn.Module, preprocess: Any, vocabulary: Vocabulary, k: int) -> None:
        self._tower, self._preprocess, self._vocabulary, self._k = tower, preprocess, vocabulary, k

    @torch.inference_mode()
    def retrieve(self, frames: Sequence[Frame]) -> list[list[int]]:
        """Returns the vocabulary rows of each frame's words."""
        images = functional.normalize(self._tower(self._preprocess(list(frames))).float(), dim=-1)
        words = functional.normalize(self._vocabulary.embeddings, dim=-1)
        order: NDArray[np.int64] = np.argsort(-(images @ words.T).numpy(), axis=1, kind="stable")
        found = []
        for row in order:
            texts = [self._vocabulary.words[i] for i in row[: self._k]]
            assert all(texts)
            found.append([int(i) for i in row[: self._k]])
        return found


class ReferenceMemory:
    """One episode a row. inputs: per layer (rows, window, width), zero before the first word."""

    def __init__(self, model: RingTransformer[Any], rows: int) -> None:
        self.model, self.length = model, 0
        self.inputs = [torch.zeros(rows, model.window, model.embeddings.shape[1]) for _ in range(model.layers)]

    @torch.inference_mode()
    def step(self, words: Tensor) -> Tensor:
        """Appends words (rows, k) to all episodes; returns their memory vectors, (rows, dimension)."""
        hidden = self.model.embeddings[words]
        for number, block in self.model.blocks():
            whole = torch.cat([self.inputs[number], hidden], dim=1)
            self.inputs[number] = whole[:, -self.model.window :]
            if isinstance(block, Layer) and isinstance(self.model, TransformerXL):
                hidden = _transformer_xl(self.model, block, whole, hidden)
            elif isinstance(self.model, Llama):
                hidden = self._llama(block, whole, hidden)
        self.length += words.shape[1]
        return self.model.output(hidden[:, -1])

    def _llama(self, block: Any, whole: Tensor, hidden: Tensor) -> Tensor:
        count = hidden.shape[1]
        positions = torch.arange(self.length - self.model.window, self.length + count).expand(len(hidden), -1)
        projected, cached = block.project(whole, self.model.relation(positions, positions))
        relation = self.model.relation(positions[:, -count:], positions)
        queries, bias = block.scores(projected[:, -count:], relation, 0)
        keys, values = cached.permute(2, 0, 3, 1, 4).flatten(1, 2)
        attended = attend(queries, keys, values, bias)
        output: Tensor = block.finish(hidden, merged(attended, len(hidden), count))
        return output


def _transformer_xl(model: TransformerXL, layer: Layer, whole: Tensor, hidden: Tensor) -> Tensor:
    """One layer in the published order: project everything, score, shift the scores of positions, mask, attend."""
    rows, count, _ = hidden.shape
    length = whole.shape[1]
    projected = layer.queries_keys_values(whole).view(rows, length, 3, layer.heads, -1)
    queries, keys, values = projected.permute(2, 0, 3, 1, 4)
    queries = queries[:, :, -count:]
    encodings = sinusoids(length, dimension=model.dimension, clamp_len=model.clamp_len).flip(0)
    positional = layer.positional(encodings)
    content = (queries + layer.content_bias[:, None]) @ keys.transpose(-1, -2)
    position = _shifted((queries + layer.position_bias[:, None]) @ positional.transpose(-1, -2))
    scores = (content + position) * layer.scale
    distance = torch.arange(length - count, length)[:, None] - torch.arange(length)
    hidden_positions = (distance < 0) | (distance >= model.window)
    weights = scores.masked_fill(hidden_positions, float("-inf")).softmax(-1)
    attended = (weights @ values).transpose(1, 2).reshape(rows, count, -1)
    middle = layer.attention_norm(hidden + layer.merge_heads(attended))
    output: Tensor = layer.feed_forward_norm(middle + layer.narrow(layer.widen(middle).relu()))
    return output


def _shifted(scores: Tensor) -> Tensor:
    """Moves row i of (rows, heads, q, n) to the left by q - 1 - i, which turns columns of distances into columns of keys."""
    rows, heads, count, length = scores.shape
    padded = torch.cat([scores.new_zeros(rows, heads, count, 1), scores], dim=-1)
    return padded.view(rows, heads, length + 1, count)[:, :, 1:].reshape(rows, heads, count, length)
