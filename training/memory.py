"""The memory of parallel environments during training, for every method: frames in, memory vectors out.

- `WordMemory` (SHELM): the engines of the services, so that a policy is served with the memory it was trained with.
- `EmbeddingMemory` (HELM, HELMv2): one input vector of the language model per frame, without words.
- `NoMemory`: a constant zero, for methods without memory or with their own (LSTM).

A step's frame is appended exactly once, by `remember`; `begin` starts the next episode of an environment. Training and
evaluation use the same object. Failure policy: an engine's error ends the training.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent.history import MemoryStep, MemoryVector, empty_history
from agent.memory.language_model import LanguageModel
from agent.memory.slots import MemorySlots

Frames = NDArray[np.uint8]  # (rows, height, width, 3)
Vectors = NDArray[np.float32]  # (rows, dimension)
LENGTH = np.dtype("<i8")  # of an episode in tokens, before its keys and values
Edit = Callable[[tuple[int, ...]], tuple[int, ...]]  # of one step's words, vocabulary rows
Words = Callable[[Frames], list[tuple[int, ...]]]  # vocabulary rows of each frame's words


class Memory(Protocol):
    """One memory for all environments of a vector environment; `row` is the index of an environment."""

    dimension: int

    def begin(self, row: int) -> None:
        """Begins a new episode in environment `row`, with an empty memory."""

    def remember(self, frames: Frames, rows: Sequence[int]) -> Vectors:
        """Appends one frame to the episode of each environment in `rows`; returns their memory vectors."""

    def state_dict(self) -> dict[str, Tensor]:
        """Returns learned statistics of frames, to be saved with the policy."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restores what `state_dict` returned."""


class NoMemory:
    """Remembers nothing."""

    dimension = 1

    def begin(self, row: int) -> None:
        """Does nothing."""

    def remember(self, frames: Frames, rows: Sequence[int]) -> Vectors:
        """Returns zeros."""
        return np.zeros((len(rows), 1), np.float32)

    def state_dict(self) -> dict[str, Tensor]:
        """Returns an empty dict."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Does nothing."""


class WordMemory(NoMemory):
    """Words by retrieval, vectors by memory slots. The n-th episode of environment r has the id "r:n"."""

    def __init__(self, *, words: Words, slots: MemorySlots, agent_digest: str, dimension: int) -> None:
        self.dimension = dimension
        self._words, self._slots = words, slots
        self._empty = empty_history(agent_digest)
        self._episodes: dict[int, int] = {}
        self._steps: dict[int, int] = {}
        self._histories: dict[int, bytes] = {}

    def begin(self, row: int) -> None:
        """Frees the slot of the last episode and starts a new, empty history for the environment."""
        self._slots.forget(self._name(row))
        self._episodes[row] = self._episodes.get(row, -1) + 1
        self._steps[row], self._histories[row] = 0, self._empty

    def remember(self, frames: Frames, rows: Sequence[int]) -> Vectors:
        """Retrieves and appends each frame's words; raises RuntimeError if a slot was lost during an episode."""
        return self.append(self._words(frames), rows)

    def append(self, words: Sequence[tuple[int, ...]], rows: Sequence[int]) -> Vectors:
        """Appends one step's words, vocabulary rows, to the episode of each environment in `rows`."""
        steps = [
            MemoryStep(self._name(row), self._steps[row], word, self._histories[row])
            for row, word in zip(rows, words, strict=True)
        ]
        vectors = []
        for row, answer in zip(rows, self._slots.remember(steps), strict=True):
            if not isinstance(answer, MemoryVector):
                raise RuntimeError(f"row {row}: the memory lost an episode in the middle: {answer}")
            vectors.append(answer.vector)
            self._histories[row] = answer.history_digest
            self._steps[row] += 1
        return np.stack(vectors)

    def _name(self, row: int) -> str:
        return f"{row}:{self._episodes.get(row)}"


class EditedMemory(WordMemory):
    """A word memory whose words are edited: as they come (`edits`, by environment), or what is remembered (`rewrite`)."""

    def __init__(self, **arguments: Any) -> None:
        """arguments: as of WordMemory."""
        super().__init__(**arguments)
        self.edits: dict[int, Edit] = {}
        self._held: dict[int, list[tuple[int, ...]]] = {}

    def begin(self, row: int) -> None:
        """Begins a new episode, whose words are not edited."""
        super().begin(row)
        self._held[row] = []
        self.edits.pop(row, None)

    def remember(self, frames: Frames, rows: Sequence[int]) -> Vectors:
        """Appends the words of each frame, edited."""
        words = [self.edits.get(row, _same)(found) for row, found in zip(rows, self._words(frames), strict=True)]
        for row, found in zip(rows, words, strict=True):
            self._held[row].append(found)
        return self.append(words, rows)

    def remembered(self, row: int) -> list[tuple[int, ...]]:
        """Returns the words of each step of the environment's episode, vocabulary rows, as they are remembered."""
        return self._held[row]

    def rewrite(self, row: int, edit: Edit, steps: Collection[int]) -> None:
        """Edits the words of these steps of the environment's episode, as if they had always been so."""
        words = [edit(found) if step in steps else found for step, found in enumerate(self._held[row])]
        self.begin(row)
        self._held[row] = words
        for found in words:
            self.append([found], [row])


def _same(words: tuple[int, ...]) -> tuple[int, ...]:
    return words


class EmbeddingMemory:
    """Uses frame embeddings directly as language-model inputs; there are no words, so nothing readable."""

    def __init__(self, *, embed: Any, language_model: LanguageModel, num_envs: int) -> None:
        """embed: a module of training.helm: frames uint8 (n, height, width, 3) -> float32 (n, width of the model)."""
        self.dimension = language_model.dimension
        self._embed, self._model = embed, language_model
        self._cache = language_model.new_cache(num_envs)
        self._lengths = torch.zeros(num_envs, dtype=torch.int64)

    def begin(self, row: int) -> None:
        """Sets the environment's keys and values to zero."""
        self._cache.clear(row)
        self._lengths[row] = 0

    @torch.inference_mode()
    def remember(self, frames: Frames, rows: Sequence[int]) -> Vectors:
        """Feeds one input vector per frame to the model."""
        slots = torch.tensor(list(rows))
        inputs = self._embed(frames)[:, None]
        vectors: Vectors = self._model.step_inputs(self._cache, slots, self._lengths[slots], inputs).cpu().numpy()
        self._lengths[slots] += 1
        return vectors

    @property
    def episode_bytes(self) -> int:
        """Bytes of what `save` returns."""
        return self._cache.slot_bytes + LENGTH.itemsize

    def save(self, row: int) -> bytes:
        """Returns what environment `row` remembers."""
        length = np.asarray(self._lengths[row].item(), LENGTH)
        return length.tobytes() + self._cache.save(row).numpy().tobytes()

    def load(self, row: int, saved: bytes) -> None:
        """Gives environment `row` what `save` returned."""
        self._lengths[row] = int(np.frombuffer(saved, LENGTH, 1)[0])
        self._cache.load(
            row,
            torch.frombuffer(bytearray(saved), dtype=self._model.embeddings.dtype, offset=LENGTH.itemsize).view(
                self._cache.slot_shape
            ),
        )

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the statistics that standardise frames; empty if there are none."""
        state: dict[str, Tensor] = self._embed.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restores statistics that `state_dict` returned."""
        self._embed.load_state_dict(state)
