"""`MemorySlots`: the memory of many episodes, one forward for all of them (docs/architecture.md#memory).

A slot remembers which history it holds by its digest. `remember` appends a step's words to the slots that hold exactly the
history that the step names; for any other it answers `SlotMiss`, and the caller reads the history, calls `rebuild`, and asks
again. The step just taken may be asked for again: its vector is kept. So the memory vector is always a pure
function of the words, whoever asks, however often, in whatever company.

Failure policy: a bad item (unknown word, wrong number of words) is answered with its own ValueError; the others go
on. If the model fails, the slots of that forward are dropped, because their content is unknown, and the error is
raised. Not safe for concurrent calls.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from agent.history import MemoryStep, MemoryVector, extend_history, history_reach
from agent.memory.checks import StepCheck
from agent.memory.language_model import LanguageModel


@dataclass(frozen=True)
class SlotMiss:
    """No slot holds the history; `steps` last steps of it are needed to rebuild."""

    steps: int


@dataclass
class _Slot:
    index: int
    history_digest: bytes
    previous: bytes | None = None  # the history before the step last taken
    vector: NDArray[np.float32] | None = None  # after the step last taken


@dataclass
class SlotCounts:
    """How full the slots are, and what happened since the start.

    slots: there are. used: hold an episode. hits: steps taken from a slot at hand. repeats: steps asked for again, whose
    vector was kept. rebuilds: states computed again from the history. evictions: slots taken from another episode.
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
    """Memory slots of one agent over one language model; memory is bounded by the number of slots."""

    def __init__(self, *, language_model: LanguageModel, vocabulary_size: int, agent_digest: str, slots: int) -> None:
        self.capacity = slots
        self._counts = SlotCounts(slots=slots)
        self._model, self.dimension = language_model, language_model.dimension
        self.check = StepCheck(
            tokens_per_step=language_model.tokens_per_step, vocabulary_size=vocabulary_size, agent_digest=agent_digest
        )
        self._cache = language_model.new_cache(slots)
        self._slots: OrderedDict[str, _Slot] = OrderedDict()  # least recently used first
        self._free = list(range(slots))[::-1]
        k = language_model.tokens_per_step
        self.reach = -(-history_reach(language_model.layers, language_model.window) // k)  # in steps

    @property
    def counts(self) -> SlotCounts:
        """A copy of the counts as they are now."""
        return replace(self._counts, used=len(self._slots))

    def remember(self, steps: Sequence[MemoryStep]) -> list[MemoryVector | SlotMiss | ValueError]:
        """Takes one step in each of several episodes; answers in the same order."""
        answers: list[MemoryVector | SlotMiss | ValueError | None] = [None] * len(steps)
        for chunk in self._rounds(steps):
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

    def rebuild(self, episode_id: str, step: int, vocabulary_rows: Sequence[int], history_digest: bytes) -> None:
        """Makes a slot hold an episode's history of `step` steps, given (at least) its last `reach` steps' words.

        ValueError if a word id is not in the vocabulary or too few words are given.
        """
        k, slot = self._model.tokens_per_step, self._take(episode_id)
        try:
            needed = min(step, self.reach) * k
            if len(vocabulary_rows) < needed or len(vocabulary_rows) > step * k:
                given = len(vocabulary_rows)
                raise ValueError(f"history: expected {needed} to {step * k} words for step {step}, got {given}")
            self.check.words(vocabulary_rows)
            self._model.rebuild(self._cache, slot.index, step * k, torch.tensor(list(vocabulary_rows), dtype=torch.int64))
        except BaseException:
            self.forget(episode_id)
            raise
        slot.history_digest, slot.previous, slot.vector = history_digest, None, None
        self._counts.rebuilds += 1

    def rebuild_and_remember(self, step: MemoryStep, words: Sequence[int]) -> MemoryVector:
        """Rebuilds the state before `step` from its history's last words, and takes the step, whatever the slots' number.

        ValueError if the step or the words cannot be taken.
        """
        self.rebuild(step.episode_id, step.step, words, step.history_digest)
        (answer,) = self.remember([step])
        if isinstance(answer, ValueError):
            raise answer
        if isinstance(answer, SlotMiss):
            raise RuntimeError("a slot that was just rebuilt does not hold its history")
        return answer

    def encode_history(self, vocabulary_rows: Sequence[int]) -> NDArray[np.float32]:
        """The memory vector, float32 (dimension,), after a history that need not exist; its words, oldest first.

        Touches no slot: a cache of its own lives as long as the call. ValueError if there is no word or one is unknown.
        """
        self.check.history(vocabulary_rows)
        words, before = torch.tensor(list(vocabulary_rows), dtype=torch.int64), len(vocabulary_rows) - 1
        cache = self._model.new_cache(1)
        self._model.rebuild(cache, 0, before, words[:-1])
        vectors = self._model.step(cache, torch.tensor([0]), torch.tensor([before]), words[None, -1:])
        vector: NDArray[np.float32] = vectors[0].cpu().numpy()
        return vector

    def forget(self, episode_id: str) -> bool:
        """Drops an episode's slot; False if it had none."""
        slot = self._slots.pop(episode_id, None)
        if slot is None:
            return False
        self._free.append(slot.index)
        return True

    def _rounds(self, steps: Sequence[MemoryStep]) -> Iterator[list[int]]:
        """Splits a batch so that an episode stands in a round once and a round fits the slots."""
        waiting = list(range(len(steps)))
        while waiting:
            chunk: list[int] = []
            seen: set[str] = set()
            later: list[int] = []
            for i in waiting:
                if steps[i].episode_id in seen or len(chunk) == self.capacity:
                    later.append(i)
                else:
                    seen.add(steps[i].episode_id)
                    chunk.append(i)
            yield chunk
            waiting = later

    def _prepare(self, step: MemoryStep, forward: _Forward) -> MemoryVector | SlotMiss | ValueError | None:
        """Answers at once, or puts the step into the forward and returns None."""
        try:
            self.check(step)
        except ValueError as error:
            return error
        slot = self._slots.get(step.episode_id)
        after = extend_history(step.history_digest, step.vocabulary_rows)
        if slot and slot.vector is not None and slot.previous == step.history_digest and slot.history_digest == after:
            self._counts.repeats += 1
            self._slots.move_to_end(step.episode_id)
            return MemoryVector(slot.vector, after)
        if step.step == 0:  # an empty history needs no slot to start from
            slot = self._take(step.episode_id)
            self._cache.clear(slot.index)
            slot.history_digest = self.check.empty
        elif slot is None or slot.history_digest != step.history_digest:
            return SlotMiss(min(step.step, self.reach))
        self._slots.move_to_end(step.episode_id)
        self._counts.hits += 1
        forward.steps.append(step)
        forward.slots.append(slot)
        return None

    def _run(self, forward: _Forward) -> list[MemoryVector]:
        if not forward.steps:
            return []
        k = self._model.tokens_per_step
        try:
            vectors = self._model.step(
                self._cache,
                torch.tensor([slot.index for slot in forward.slots]),
                torch.tensor([step.step * k for step in forward.steps]),
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
        """The episode's slot, or a free one, or the one least recently used."""
        if episode_id not in self._slots:
            if not self._free:
                evicted, _ = next(iter(self._slots.items()))
                self.forget(evicted)
                self._counts.evictions += 1
            self._slots[episode_id] = _Slot(self._free.pop(), b"")
        self._slots.move_to_end(episode_id)
        return self._slots[episode_id]
