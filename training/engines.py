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
from agent.memory.described import kind_of, words_sha256_of
from agent.memory.slots import MemorySlots
from agent.memory.weights import LanguageModelSpec, load_language_model
from agent.retrieval.clip import clip_sha256, load_clip, preprocess_cfg
from agent.retrieval.preprocess import Preprocessing
from agent.vocabulary import Vocabulary
from training.distinct import marks_of
from training.helm import ClipInputs, FrozenHopfield
from training.memory import EmbeddingMemory, Frames, Memory, NoMemory, WordMemory, Words

CACHE_FRAMES = 100_000
AGENT = "training"  # used instead of the bundle's digest, which does not exist yet


@dataclass(frozen=True)
class Engines:
    """The engines of SHELM.

    words: frames uint8 (rows, height, width, 3) -> vocabulary rows per frame. dimension: of the memory vector.
    """

    words: Words
    slots: MemorySlots
    dimension: int

    def memory(self, kind: type[WordMemory] = WordMemory) -> WordMemory:
        """Returns SHELM's memory with these engines."""
        return kind(words=self.words, slots=self.slots, agent_digest=AGENT, dimension=self.dimension)


def load_engines(run: dict[str, Any], *, num_envs: int, device: str = "cpu") -> Engines:
    """Loads the engines of SHELM on a torch device, with one slot for each of `num_envs` parallel environments."""
    vocabulary = Vocabulary.load(Path(run["vocabulary"]))
    words_sha256 = words_sha256_of(run["language_model"])
    try:
        vocabulary.check_made_for(clip_sha256=clip_sha256(run["clip"]), words_sha256=words_sha256)
    except ValueError as error:
        raise ValueError(f"--vocabulary {run['vocabulary']}: {error}") from None
    place: dict[str, Any] = {"device": device, "dtype": run.get("dtype", "float32")}  # older runs have none
    mode = run.get("preprocessing", "model")
    retriever = make_retriever(run["clip"], vocabulary, k=run["k"], preprocessing=mode, cache_frames=CACHE_FRAMES, **place)
    slots = make_slots(language_model_spec(run), vocabulary, k=run["k"], agent_digest=AGENT, slots=num_envs, **place)

    def words(frames: Frames) -> list[tuple[int, ...]]:
        return [tuple(word.row for word in found) for found in retriever.retrieve(list(frames))]

    return Engines(once(words), slots, slots.dimension)


def once(words: Words, *, limit: int = CACHE_FRAMES) -> Words:
    """Returns `words` with a cache of `limit` frames, faster than the retriever's, because it marks all frames at once."""
    known: dict[int, tuple[int, ...]] = {}

    def cached(frames: Frames) -> list[tuple[int, ...]]:
        marks = marks_of(torch.from_numpy(frames)).tolist()
        if len(known) + len(marks) > limit:
            known.clear()
        new: dict[int, int] = {}  # the first row of each
        for at, mark in enumerate(marks):
            if mark not in known:
                new.setdefault(mark, at)
        if new:
            known.update(zip(new, words(frames[list(new.values())]), strict=True))
        return [known[mark] for mark in marks]

    return cached


def load_memory(
    run: dict[str, Any], *, num_envs: int, pixels: int, device: str = "cpu", words: type[WordMemory] = WordMemory
) -> Memory:
    """Loads the memory of the run's method on a torch device for `num_envs` parallel environments; pixels: height * width of
    its frames; words: the class of a memory of words.
    """
    method = run["method"]
    if method == "shelm":
        return load_engines(run, num_envs=num_envs, device=device).memory(words)
    if method in ("helm", "helmv2"):
        return _embedding_memory(run, num_envs, pixels, device)
    return NoMemory()


def language_model_spec(run: dict[str, Any]) -> LanguageModelSpec:
    """Returns the language model of a run, whose kind its source decides."""
    source = run["language_model"]
    return LanguageModelSpec(kind=kind_of(source), source=source, layers=run["layers"], window=run["window"])


def _embedding_memory(run: dict[str, Any], num_envs: int, pixels: int, device: str) -> EmbeddingMemory:
    ids = torch.arange(run["tokens"])
    model = load_language_model(language_model_spec(run), lm_token_ids=ids, tokens_per_step=1, device=device)
    if run["method"] == "helm":
        embed: Any = FrozenHopfield(
            embeddings=model.embeddings, pixels=pixels, beta=run["beta"], seed=run.get("projection", 0)
        )
    else:
        embed = _clip_inputs(run, model.embeddings)
    return EmbeddingMemory(embed=embed, language_model=model, num_envs=num_envs)


def _clip_inputs(run: dict[str, Any], embeddings: Tensor) -> ClipInputs:
    device = embeddings.device
    model: Any = load_clip(run["clip"], device=device).model
    preprocess = Preprocessing(cfg=preprocess_cfg(model), mode="model", device=device)
    visual = model.visual.eval()

    @torch.inference_mode()
    def encode(frames: Frames) -> Tensor:
        features: Tensor = visual(preprocess(list(frames)))
        return features.float()

    return ClipInputs(
        encode=encode,
        features=visual.output_dim,
        embeddings=embeddings,
        plain=run.get("clip_features", "normalised") == "plain",
        seed=run.get("projection", 0),
    )
