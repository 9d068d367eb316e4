"""Interface of a frozen language model used as memory.

A slot holds the projected keys and values of the last `window - 1 + k` token positions of one episode, as a ring: position p
is at index p mod capacity. Nothing else of the past is needed, because a query at position p attends to the positions p -
window + 1 .. p only (docs/paper.md#memory, `same_length`). The memory state is therefore a pure function of the words, and
`rebuilding` recomputes it from the last `history_reach` of them.

Models keep only the embeddings of the vocabulary's words (docs/paper.md#q13); a word is identified by its row in the
vocabulary.

Failure policy: nothing is validated here; wrong shapes raise torch's own errors. Not safe for concurrent calls: a cache must
have one caller at a time.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from typing import TypeVar

import torch
from torch import Tensor

from agent.memory.slot_cache import SlotCache

Result = TypeVar("Result")
Chunks = Generator[None, None, Result]  # pauses between chunks of work
Rebuilding = Chunks[list[Tensor]]  # returns what `SlotCache.restore` takes


class LanguageModel(ABC):
    """A frozen transformer whose attention reaches `window` token positions.

    dimension: of the memory vector. embeddings: (rows, width), of the vocabulary's words, on the model's device.
    """

    layers: int
    window: int
    tokens_per_step: int
    dimension: int
    heads: int  # of keys and values
    head_dim: int
    embeddings: Tensor
    halved = False  # weights in float16, arithmetic in float32

    @property
    def dtype(self) -> str:
        """The number format of the weights, for example "bfloat16"."""
        return "float16" if self.halved else str(self.embeddings.dtype).removeprefix("torch.")

    @property
    def device(self) -> torch.device:
        """The torch device of the model."""
        return self.embeddings.device

    def new_cache(self, slots: int) -> SlotCache:
        """Returns an empty cache with room for `slots` episodes."""
        return SlotCache(
            layers=self.layers,
            slots=slots,
            heads=self.heads,
            head_dim=self.head_dim,
            window=self.window,
            tokens_per_step=self.tokens_per_step,
            dtype=self.embeddings.dtype,
            device=self.device,
        )

    def step(self, cache: SlotCache, slots: Tensor, lengths: Tensor, words: Tensor) -> Tensor:
        """Appends one step's words to several episodes and returns their memory vectors.

        slots: int64 (rows,), distinct. lengths: int64 (rows,), tokens in each episode before this step. words: int64 (rows,
        q), vocabulary rows, read in this order, 1 <= q <= tokens_per_step. Returns float32 (rows, dimension): the last
        layer's output at the last word. Rows do not influence each other. A slot must have been cleared before its first
        step.
        """
        with torch.inference_mode():
            return self.step_inputs(cache, slots, lengths, self.embeddings[words.to(self.device)])

    def stepper(self, cache: SlotCache) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """Returns `step` for one cache that is used for long: a model may prepare what pays only then."""
        return lambda slots, lengths, words: self.step(cache, slots, lengths, words)

    @abstractmethod
    def step_inputs(self, cache: SlotCache, slots: Tensor, lengths: Tensor, inputs: Tensor) -> Tensor:
        """Does the same as `step`, with input vectors (rows, q, width) instead of words."""

    @abstractmethod
    def rebuilding(self, lengths: Tensor, words: Tensor) -> Rebuilding:
        """Computes the states after each episode's first `lengths` tokens, in chunks, without touching any cache.

        lengths: int64 (rows,). words: int64 (rows, n), of each episode the last min(length, n) of those tokens, at the end
        of its row; what is before them is ignored. n = min(max(lengths), history_reach(layers, window)) is enough.
        """

    def rebuild(self, cache: SlotCache, slot: int, length: int, words: Tensor) -> None:
        """Fills one slot with the state after an episode's first `length` tokens; words: int64 (n,), the last n of them."""
        lengths = torch.full((1,), length, device=words.device)
        cache.restore([slot], [length], finish(self.rebuilding(lengths, words[None])))


def finish(chunks: Chunks[Result]) -> Result:
    """Runs all chunks and returns the result."""
    while True:
        try:
            next(chunks)
        except StopIteration as end:
            result: Result = end.value
            return result
