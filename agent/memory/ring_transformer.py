"""A stack of attention blocks over memory slots: the step and the rebuild, for every architecture that is written here.

A block projects its input to queries, keys and values, says what is added to the scores (positions, hidden positions), and
turns what was attended into its output. Every position is projected once and cached in its slot, which is exact, because a
position's inputs never change.

Failure policy: as in agent.memory.language_model. Step and rebuild run in inference mode: a caller that needs gradients
downstream must clone the result first.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar, cast

import torch
from torch import Tensor, nn

from agent.cuda_graphs import graphed
from agent.history import history_reach
from agent.memory.attention import attend
from agent.memory.language_model import LanguageModel, Rebuilding
from agent.memory.slot_cache import Run, SlotCache

REBUILD_CHUNK = 128  # positions projected and attended at once; bounds the scores to (rows, heads, 128, window + 127)
Relation = TypeVar("Relation")


class Block(Protocol):
    """One layer."""

    def project(self, hidden: Tensor, relation: Any) -> tuple[Tensor, Tensor]:
        """Projects inputs (rows, q, width) to queries (rows, q, heads of queries, head_dim), and to keys and values, (rows,
        q, 2, heads, head_dim).
        """

    def scores(self, queries: Tensor, relation: Any, number: int) -> tuple[Tensor, Tensor | None]:
        """Turns queries into what `attend` takes: scaled queries (rows * heads, group * q, head_dim), and the bias."""

    def halve(self) -> None:
        """Stores the weights in float16 (agent.memory.half_weights)."""

    def finish(self, hidden: Tensor, attended: Tensor) -> Tensor:
        """Returns the output (rows, q, width) for the input `hidden` and what was attended, (rows, q, heads * head_dim)."""


class RingTransformer(nn.Module, LanguageModel, Generic[Relation]):
    """Base of the architectures. Subclasses set `stack`, `embeddings` and the sizes of `LanguageModel`."""

    stack: nn.ModuleList
    embeddings: Tensor

    @abstractmethod
    def relation(self, queries: Tensor, keys: Tensor, *, all_seen: bool = False) -> Relation:
        """Computes once for all layers what depends on the positions of queries (rows, q) and keys (rows, n).

        all_seen: every query attends to every key.
        """

    @abstractmethod
    def output(self, hidden: Tensor) -> Tensor:
        """Turns the last block's output (rows, width) into the memory vector, any dtype."""

    def blocks(self) -> Iterator[tuple[int, Block]]:
        """Yields each block with its number."""
        for number, block in enumerate(self.stack):
            yield number, cast(Block, block)

    def halve(self) -> None:
        """Stores the weights of a float32 model on the CPU in float16, and goes on computing in float32."""
        for _, block in self.blocks():
            block.halve()
        self.halved = True

    def stepper(self, cache: SlotCache) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        """Implements `LanguageModel.stepper`: on a GPU, CUDA graphs. A step that is repeated writes what it wrote before."""
        if self.device.type == "cpu":
            return super().stepper(cache)
        step = graphed(lambda rows: self.step(cache, rows[:, 0], rows[:, 1], rows[:, 2:]), self.device)
        return lambda slots, lengths, words: step(torch.cat([slots[:, None], lengths[:, None], words], 1))  # in one copy

    @torch.inference_mode()
    def step_inputs(self, cache: SlotCache, slots: Tensor, lengths: Tensor, inputs: Tensor) -> Tensor:
        """Implements `LanguageModel.step_inputs`."""
        if self.device.type != "cpu":
            return self._step(cache, slots.to(self.device), [], lengths.to(self.device), inputs, all_seen=False)
        numbers: list[int] = slots.tolist()
        ascending = sorted(numbers)
        cache.touch(numbers)
        # A single new word, and every place of the ring holds one of the window's others.
        full = inputs.shape[1] == 1 and cache.capacity == self.window and min(lengths.tolist()) >= self.window - 1
        if numbers == ascending:
            return self._step(cache, slots, cache.runs(numbers), lengths, inputs, all_seen=full)
        order = slots.argsort()  # neighbours side by side
        vectors = self._step(cache, slots[order], cache.runs(ascending), lengths[order], inputs[order], all_seen=full)
        return torch.empty_like(vectors).index_copy_(0, order, vectors)

    def _step(
        self, cache: SlotCache, slots: Tensor, runs: Sequence[Run], lengths: Tensor, hidden: Tensor, *, all_seen: bool
    ) -> Tensor:
        rows, count, _ = hidden.shape
        positions = lengths[:, None] + torch.arange(count, device=hidden.device)
        relation = self.relation(positions, cache.held_positions(lengths + count), all_seen=all_seen)
        places = cache.places(slots, positions)
        for number, block in self.blocks():
            queries, new = block.project(hidden, relation)
            cache.write(number, places, new)
            attended = cache.attend(number, slots, runs, *block.scores(queries, relation, number))
            attended = merged(attended, rows, count)
            if number == self.layers - 1:  # nobody reads what the last block gives at the other words
                hidden, attended = hidden[:, -1:], attended[:, -1:]
            hidden = block.finish(hidden, attended)
        return self.output(hidden[:, -1]).float()

    @torch.inference_mode()
    def rebuilding(self, lengths: Tensor, words: Tensor) -> Rebuilding:
        """Implements `LanguageModel.rebuilding`, layer by layer.

        Each layer computes only the outputs that the layers above can still reach, the last one none. The working memory is
        that of one layer, for at most `history_reach` tokens, and what is returned.
        """
        words, lengths = words.to(self.device), lengths.to(self.device)
        hidden = self.embeddings[words[:, max(0, words.shape[1] - history_reach(self.layers, self.window)) :]]
        states: list[Tensor] = []
        for number, block in self.blocks():
            outputs = min(hidden.shape[1], history_reach(self.layers - 1 - number, self.window))
            band = yield from self._pass(block, number, hidden, lengths, outputs)
            states.append(band[:, :, :, band.shape[3] - self.window + 1 :].clone())
            hidden = hidden[:, hidden.shape[1] - outputs :]
        return states

    def _pass(self, block: Block, number: int, hidden: Tensor, lengths: Tensor, outputs: int) -> Any:
        """Runs one block in chunks over `hidden` (rows, n, width), the inputs of the last n of each row's positions.

        The last `outputs` positions of `hidden` are overwritten with the block's output (and a few before them, because
        chunks are processed whole). Returns keys and values (rows, 2, heads, window - 1 + n, head_dim), zero for the
        positions before the n, and before the first word.
        """
        past, (rows, n, _) = self.window - 1, hidden.shape
        band = hidden.new_zeros(rows, 2, self.heads, past + n, self.head_dim)
        before = torch.arange(-n - past, 0, device=hidden.device) + lengths[:, None]  # the band's positions
        for start in range(0, n, REBUILD_CHUNK):
            stop = min(start + REBUILD_CHUNK, n)
            here, reach = slice(past + start, past + stop), slice(start, past + stop)
            relation = self.relation(before[:, here], before[:, reach])
            queries, new = block.project(hidden[:, start:stop], relation)
            if rows > 1:  # a shorter episode's row begins before its first word
                new = new * (before[:, here] >= 0)[:, :, None, None, None]
            band[:, :, :, here] = new.permute(0, 2, 3, 1, 4)
            if stop > n - outputs:
                queries, bias = block.scores(queries, relation, number)
                attended = attend(queries, band[:, 0, :, reach].flatten(0, 1), band[:, 1, :, reach].flatten(0, 1), bias)
                hidden[:, start:stop] = block.finish(hidden[:, start:stop], merged(attended, rows, stop - start))
            yield
        return band


def grouped(queries: Tensor, heads: int) -> Tensor:
    """(rows, q, heads of queries, head_dim) -> (rows * heads, group * q, head_dim): the queries that share keys together."""
    rows, count, _, size = queries.shape
    if count == 1:
        return queries.reshape(rows * heads, -1, size)
    return queries.view(rows, count, heads, -1, size).permute(0, 2, 3, 1, 4).reshape(rows * heads, -1, size)


def merged(attended: Tensor, rows: int, count: int) -> Tensor:
    """(rows * heads, group * q, head_dim) -> (rows, q, heads of queries * head_dim)."""
    if count == 1:
        return attended.view(rows, 1, -1)
    size = attended.shape[-1]
    return attended.view(rows, -1, count, size).transpose(1, 2).reshape(rows, count, -1)
