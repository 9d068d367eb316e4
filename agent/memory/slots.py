"""`MemorySlots`: the memory of many episodes, with one forward pass for all of them (docs/architecture.md#memory).

Each slot stores the digest of the history that it holds. `remember` appends a step's words to the slot that holds exactly
the history named in the step. Otherwise it returns `SlotMiss`; the caller then reads the history and calls `rebuilding`,
which computes the step as well. The latest step can be requested again, because its vector is kept. The memory vector is
therefore always a pure function of the words, independent of the caller, of repetitions, and of the other episodes in the
batch.

`rebuilding` and `encoding` are generators that pause between chunks of about a step's cost, so that their caller can let
other episodes' steps go between; `finish` runs one to its end.

Failure policy: an invalid item (unknown word, wrong number of words) gets its own ValueError as its result; the other items
are processed. If the model fails, the slots of that forward pass are dropped, because their content is unknown, and the
error is raised. Not safe for concurrent calls.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent.history import MemoryStep, MemoryVector, extend_history, history_reach
from agent.memory.checks import StepCheck
from agent.memory.language_model import Chunks, LanguageModel, Rebuilding, finish

REBUILD_BYTES = 2**28  # of the states that are rebuilt together


@dataclass(frozen=True)
class SlotMiss:
    """No slot holds the history; its last `steps` steps are needed to rebuild the slot, more if some of them have fewer
    words than others.
    """

    steps: int


@dataclass(frozen=True)
class Rebuild:
    """A step whose slot must be rebuilt first. words: of (at least) the last `reach` steps before it, oldest first."""

    step: MemoryStep
    words: Sequence[int]


@dataclass
class _Slot:
    index: int
    history_digest: bytes
    previous: bytes | None = None  # digest of the history before the latest step
    vector: NDArray[np.float32] | None = None  # memory vector after the latest step
    rebuilt: bool = False  # and not used since


@dataclass
class SlotCounts:
    """Usage of the slots, and counters since the start.

    slots: number of slots. used: slots that hold an episode. hits: steps computed from a cached slot. repeats: repeated
    requests for the latest step, answered with its cached vector. rebuilds: states recomputed from the history. evictions:
    slots taken from another episode.
    """

    slots: int = 0
    used: int = 0
    hits: int = 0
    repeats: int = 0
    rebuilds: int = 0
    evictions: int = 0


@dataclass
class _Forward:
    steps: list[MemoryStep] = field(default_factory=list)
    slots: list[_Slot] = field(default_factory=list)


class MemorySlots:
    """The memory slots of one agent on top of one language model; the number of slots limits the memory use."""

    def __init__(
        self, *, language_model: LanguageModel, vocabulary_size: int, agent_digest: str, slots: int, host_bytes: int = 0
    ) -> None:
        """host_bytes: of the host's memory, for states that have lost their slots; useful where these are on a GPU."""
        self.capacity = slots
        self._counts = SlotCounts(slots=slots)
        self._model, self.dimension = language_model, language_model.dimension
        self.check = StepCheck(
            tokens_per_step=language_model.tokens_per_step, vocabulary_size=vocabulary_size, agent_digest=agent_digest
        )
        self._cache = language_model.new_cache(slots)
        self._step = language_model.stepper(self._cache)
        self._slots: OrderedDict[str, _Slot] = OrderedDict()  # least recently used first
        self._free = list(range(slots))[::-1]
        self._host: OrderedDict[str, tuple[_Slot, Tensor]] = OrderedDict()  # least recently used first
        self._host_slots = host_bytes // self._cache.slot_bytes
        k = language_model.tokens_per_step
        self.reach = -(-history_reach(language_model.layers, language_model.window) // k)  # in steps
        self.rebuild_rows = max(1, min(slots, 16, REBUILD_BYTES // self._cache.slot_bytes))  # rebuilt together

    @property
    def dtype(self) -> str:
        """The number format of the language model's weights, for example "bfloat16"."""
        return self._model.dtype

    @property
    def counts(self) -> SlotCounts:
        """A copy of the current counts."""
        return replace(self._counts, used=len(self._slots))

    def remember(self, steps: Sequence[MemoryStep]) -> list[MemoryVector | SlotMiss | ValueError]:
        """Computes one step in each of several episodes; returns the results in the same order."""
        answers: list[MemoryVector | SlotMiss | ValueError | None] = [None] * len(steps)
        for chunk in self._rounds(steps, self.capacity):
            forward = _Forward()
            asked: list[int] = []
            for i in chunk:
                answer = self._prepare(steps[i], forward)
                if answer is None:
                    asked.append(i)
                else:
                    answers[i] = answer
            for i, vector in zip(asked, self._run(forward), strict=True):
                answers[i] = vector
        return [answer for answer in answers if answer is not None]

    def rebuilding(self, items: Sequence[Rebuild]) -> Chunks[list[MemoryVector | ValueError]]:
        """Rebuilds the state before each item's step, then computes the step; works with any number of slots.

        Pauses between chunks, when other steps may be computed: no slot is taken before the states are complete. Returns the
        results in the same order.
        """
        answers: list[MemoryVector | ValueError | None] = [self._problem(item) for item in items]
        valid = [i for i, problem in enumerate(answers) if problem is None]
        for chunk in self._rounds([items[i].step for i in valid], self.rebuild_rows):
            together = [items[valid[i]] for i in chunk]
            lengths = [item.step.words_before for item in together]
            states = yield from self._states(lengths, [item.words for item in together])
            slots = [self._take(item.step.episode_id) for item in together]
            self._cache.restore([slot.index for slot in slots], lengths, states)
            for slot, item in zip(slots, together, strict=True):
                slot.history_digest, slot.previous, slot.vector, slot.rebuilt = item.step.history_digest, None, None, True
            self._counts.rebuilds += len(together)
            for i, answer in zip(chunk, self.remember([item.step for item in together]), strict=True):
                if isinstance(answer, SlotMiss):
                    raise RuntimeError("a slot that was just rebuilt does not hold its history")
                answers[valid[i]] = answer
        return [answer for answer in answers if answer is not None]

    def encoding(self, histories: Sequence[Sequence[int]]) -> Chunks[list[NDArray[np.float32]]]:
        """Computes the memory vectors, float32 (dimension,), after hypothetical histories, given their words, oldest first.

        Uses no slot and pauses between chunks. Raises ValueError if there are no words or one is not in the vocabulary.
        """
        for words in histories:
            self.check.history(words)
        vectors: list[NDArray[np.float32]] = []
        for start in range(0, len(histories), self.rebuild_rows):
            together = histories[start : start + self.rebuild_rows]
            lengths = [len(words) - 1 for words in together]
            states = yield from self._states(lengths, [words[:-1] for words in together])
            cache, rows = self._model.new_cache(len(together)), list(range(len(together)))
            cache.restore(rows, lengths, states)
            last = torch.tensor([[words[-1]] for words in together])
            vectors.extend(self._model.step(cache, torch.tensor(rows), torch.tensor(lengths), last).cpu().numpy())
            yield
        return vectors

    def _states(self, lengths: Sequence[int], histories: Sequence[Sequence[int]]) -> Rebuilding:
        """Pads histories to equal lengths, and computes the states after them."""
        words = torch.zeros(len(histories), max(len(rows) for rows in histories), dtype=torch.int64)
        for row, rows in zip(words, histories, strict=True):
            row[len(row) - len(rows) :] = torch.tensor(list(rows), dtype=torch.int64)
        return self._model.rebuilding(torch.tensor(lengths), words)

    def _problem(self, item: Rebuild) -> ValueError | None:
        step, length, given = item.step.step, item.step.words_before, len(item.words)
        needed = min(length, self.reach * self._model.tokens_per_step)
        try:
            self.check(item.step)
            if not needed <= given <= length:
                raise ValueError(f"history: expected {needed} to {length} words for step {step}, got {given}")
            self.check.words(item.words)
        except ValueError as error:
            return error
        return None

    def rebuild_and_remember(self, step: MemoryStep, words: Sequence[int]) -> MemoryVector:
        """Runs `rebuilding` for one step; raises ValueError if the step or the words are invalid."""
        (answer,) = finish(self.rebuilding([Rebuild(step, words)]))
        if isinstance(answer, ValueError):
            raise answer
        return answer

    def encode_history(self, words: Sequence[int]) -> NDArray[np.float32]:
        """Runs `encoding` for one history."""
        (vector,) = finish(self.encoding([words]))
        return vector

    def forget(self, episode_id: str) -> bool:
        """Drops an episode's state; returns False if there was none."""
        kept = self._host.pop(episode_id, None)
        slot = self._slots.pop(episode_id, None)
        if slot is None:
            return kept is not None
        self._free.append(slot.index)
        return True

    def warm_up(self) -> None:
        """Takes a step and rebuilds a state, so that no episode waits for what happens once; leaves no trace."""
        words = (0,) * self._model.tokens_per_step
        self.remember([MemoryStep("", 0, words, self.check.empty)])
        self.rebuild_and_remember(MemoryStep("", 1, words, extend_history(self.check.empty, words)), words)
        self.forget("")
        self._counts = SlotCounts(slots=self.capacity)

    def _rounds(self, steps: Sequence[MemoryStep], size: int) -> Iterator[list[int]]:
        """Splits a batch into rounds of at most `size` items, such that each episode occurs once per round."""
        waiting = list(range(len(steps)))
        while waiting:
            chunk: list[int] = []
            seen: set[str] = set()
            later: list[int] = []
            for i in waiting:
                if steps[i].episode_id in seen or len(chunk) == size:
                    later.append(i)
                else:
                    seen.add(steps[i].episode_id)
                    chunk.append(i)
            yield chunk
            waiting = later

    def _prepare(self, step: MemoryStep, forward: _Forward) -> MemoryVector | SlotMiss | ValueError | None:
        """Returns a result immediately, or adds the step to the forward pass and returns None."""
        try:
            self.check(step)
        except ValueError as error:
            return error
        slot = self._slots.get(step.episode_id) or self._recall(step.episode_id)
        after = extend_history(step.history_digest, step.vocabulary_rows)
        if slot and slot.vector is not None and slot.previous == step.history_digest and slot.history_digest == after:
            self._counts.repeats += 1
            self._slots.move_to_end(step.episode_id)
            return MemoryVector(slot.vector, after)
        if step.words_before == 0:  # an empty history needs no slot to start from
            slot = self._take(step.episode_id)
            self._cache.clear(slot.index)
            slot.history_digest = step.history_digest
        elif slot is None or slot.history_digest != step.history_digest:
            return SlotMiss(min(step.step, self.reach))
        self._slots.move_to_end(step.episode_id)
        self._counts.hits += not slot.rebuilt
        slot.rebuilt = False
        forward.steps.append(step)
        forward.slots.append(slot)
        return None

    def _run(self, forward: _Forward) -> list[MemoryVector]:
        if not forward.steps:
            return []
        try:
            vectors = self._step(
                torch.tensor([slot.index for slot in forward.slots]),
                torch.tensor([step.words_before for step in forward.steps]),
                torch.tensor([step.vocabulary_rows for step in forward.steps], dtype=torch.int64),
            )
        except BaseException:
            for step in forward.steps:
                self.forget(step.episode_id)
            raise
        rows = vectors.cpu().numpy()
        return [self._taken(*pair) for pair in zip(forward.steps, forward.slots, rows, strict=True)]

    def _taken(self, step: MemoryStep, slot: _Slot, vector: NDArray[np.float32]) -> MemoryVector:
        slot.previous, slot.history_digest = step.history_digest, extend_history(step.history_digest, step.vocabulary_rows)
        slot.vector = vector.copy()
        return MemoryVector(slot.vector, slot.history_digest)

    def _take(self, episode_id: str) -> _Slot:
        """Returns the episode's slot, or a free one, or the least recently used one."""
        self._host.pop(episode_id, None)
        if episode_id not in self._slots:
            if not self._free:
                self._evict()
            self._slots[episode_id] = _Slot(self._free.pop(), b"")
        self._slots.move_to_end(episode_id)
        return self._slots[episode_id]

    def _evict(self) -> None:
        """Frees the least recently used slot; its state goes to the host's memory, if there is room for any."""
        evicted, slot = next(iter(self._slots.items()))
        saved = self._cache.save(slot.index) if self._host_slots else None
        self.forget(evicted)
        self._counts.evictions += 1
        if saved is not None:
            self._host[evicted] = slot, saved
            if len(self._host) > self._host_slots:
                self._host.popitem(last=False)

    def _recall(self, episode_id: str) -> _Slot | None:
        """Moves an episode's state from the host's memory back to a slot, if it is there."""
        kept = self._host.pop(episode_id, None)
        if kept is None:
            return None
        slot = self._take(episode_id)
        slot.history_digest, slot.previous, slot.vector = kept[0].history_digest, kept[0].previous, kept[0].vector
        self._cache.load(slot.index, kept[1])
        return slot
