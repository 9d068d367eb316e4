"""Builds the engines for a run's settings, for training and evaluation.

Failure policy: the engines raise their own errors for a missing file or an invalid setting.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agent.engines.memory import make_slots
from agent.engines.retrieval import make_retriever
from agent.memory.slots import MemorySlots
from agent.memory.weights import LanguageModelSpec, load_language_model
from agent.retrieval.clip import load_clip, preprocess_cfg
from agent.retrieval.preprocess import Preprocessing
from agent.vocabulary import Vocabulary
from training.helm import ClipInputs, FrozenHopfield
from training.memory import EmbeddingMemory, Frames, Memory, NoMemory, WordMemory, Words

AGENT = "training"  # used instead of the bundle's digest, which does not exist yet


@dataclass(frozen=True)
class Engines:
    """The engines of SHELM.

    words: frames uint8 (rows, height, width, 3) -> vocabulary rows per frame. dimension: of the memory vector.
    """

    words: Words
    slots: MemorySlots
    dimension: int

    def memory(self) -> WordMemory:
        """Returns SHELM's memory with these engines."""
        return WordMemory(words=self.words, slots=self.slots, agent_digest=AGENT, dimension=self.dimension)


def load_engines(run: dict[str, Any], *, num_envs: int) -> Engines:
    """Loads the engines of SHELM, with one slot for each of `num_envs` parallel environments."""
    vocabulary = Vocabulary.load(Path(run["vocabulary"]))
    retriever = make_retriever(run["clip"], vocabulary, k=run["k"], cache_frames=100_000)
    slots = make_slots(_language_model(run), vocabulary, k=run["k"], agent_digest=AGENT, slots=num_envs)

    def words(frames: Frames) -> list[tuple[int, ...]]:
        return [tuple(word.row for word in found) for found in retriever.retrieve(list(frames))]

    return Engines(words, slots, slots.dimension)


def load_memory(run: dict[str, Any], *, num_envs: int, pixels: int) -> Memory:
    """Loads the memory of the run's method for `num_envs` parallel environments; pixels: height * width of its frames."""
    method = run["method"]
    if method == "shelm":
        return load_engines(run, num_envs=num_envs).memory()
    if method in ("helm", "helmv2"):
        return _embedding_memory(run, num_envs, pixels)
    return NoMemory()


def _language_model(run: dict[str, Any]) -> LanguageModelSpec:
    return LanguageModelSpec(kind="causal_lm", source=run["language_model"], layers=run["layers"], window=run["window"])


def _embedding_memory(run: dict[str, Any], num_envs: int, pixels: int) -> EmbeddingMemory:
    model = load_language_model(_language_model(run), lm_token_ids=torch.arange(run["tokens"]), tokens_per_step=1)
    if run["method"] == "helm":
        embed: Any = FrozenHopfield(embeddings=model.embeddings, pixels=pixels, beta=run["beta"])
    else:
        embed = _clip_inputs(run["clip"], model.embeddings)
    return EmbeddingMemory(embed=embed, language_model=model, num_envs=num_envs)


def _clip_inputs(clip: str, embeddings: Tensor) -> ClipInputs:
    model: Any = load_clip(clip).model
    preprocess = Preprocessing(cfg=preprocess_cfg(model), mode="model", device=torch.device("cpu"))
    visual = model.visual.eval()

    @torch.inference_mode()
    def encode(frames: Frames) -> Tensor:
        features: Tensor = visual(preprocess(list(frames)))
        return features.float()

    return ClipInputs(encode=encode, features=visual.output_dim, embeddings=embeddings)
