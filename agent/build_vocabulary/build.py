"""Builds a vocabulary: `python -m agent.build_vocabulary --clip SPEC --language-model SPEC --out FILE`.

Contract: the words are the overlap of CLIP's and the language model's vocabularies (overlap.py). Each word is inserted into
every prompt and tokenised with CLIP's own tokenizer; its embedding is the mean of the unnormalised text embeddings
(docs/paper.md#vocabulary). The tool runs offline and once; it shows its progress and logs the sizes.

Failure: an empty overlap raises ValueError, and no file is written.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from agent.build_vocabulary.language_words import load_language_words
from agent.build_vocabulary.overlap import LanguageModelWords, Mode, clip_strings, overlap
from agent.build_vocabulary.prompts import load_prompts
from agent.retrieval.clip import FORMS, ClipModel, load_clip
from agent.vocabulary import Vocabulary

ROWS = 512  # texts per forward pass
log = logging.getLogger(__name__)


@torch.inference_mode()
def embed(clip: ClipModel, words: Sequence[str], prompts: Sequence[str]) -> Tensor:
    """Returns the mean of the unnormalised text embeddings over `prompts`: float32 (words, dim) on the CPU."""
    device = next(clip.model.parameters()).device
    chunks = [words[begin : begin + ROWS] for begin in range(0, len(words), ROWS)]
    means = []
    for chunk in tqdm(chunks, desc="text embeddings", unit="batch", disable=len(chunks) < 4):
        # replace, not format: a word may itself contain braces
        texts = [clip.tokenizer([prompt.replace("{}", word) for word in chunk]) for prompt in prompts]
        embeddings = [clip.model.encode_text(text.to(device)).float() for text in texts]  # type: ignore[operator]
        means.append(torch.stack(embeddings).mean(0).cpu())
    return torch.cat(means)


def build_vocabulary(
    *, clip: ClipModel, language_model: LanguageModelWords, mode: Mode, prompts: Sequence[str]
) -> Vocabulary:
    """Builds the vocabulary of one CLIP model and one language model from the overlap of their words.

    Raises ValueError if the overlap is empty.
    """
    entries = overlap(language_model, mode)
    if not entries:
        raise ValueError(f"vocabulary: no word in common of CLIP and {language_model.name} in mode {mode!r}")
    words = [entry.word for entry in entries]
    embeddings = embed(clip, words, prompts)
    provenance = {
        "overlap": mode,
        "prompts": json.dumps(list(prompts)),
        "clip": clip.name,
        "clip_sha256": clip.sha256,
        "language_model": language_model.name,
        "language_model_words_sha256": language_model.sha256,
        "clip_words": str(len(clip_strings())),
        "language_model_words": str(len(language_model.decoded)),
        "rows": str(len(entries)),
        "dim": str(embeddings.shape[1]),
    }
    log.info("vocabulary: %s", ", ".join(f"{name}={value}" for name, value in provenance.items()))
    return Vocabulary(words, embeddings, torch.tensor([entry.token_id for entry in entries]), provenance)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Build the vocabulary of a CLIP model and a language model.")
    parser.add_argument("--clip", required=True, help=FORMS)
    parser.add_argument("--language-model", required=True, help="package:NAME/FILE, file:PATH or hub:NAME")
    parser.add_argument("--overlap", choices=("reference", "words"), default="words")
    parser.add_argument("--prompts", default="none", help="none, psychlab, avalon or a file with one template per line")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    logging.basicConfig(format="%(message)s")
    log.setLevel(logging.INFO)  # open_clip's own messages stay at warnings
    torch.set_num_threads(options.threads)
    vocabulary = build_vocabulary(
        clip=load_clip(options.clip, device=options.device),
        language_model=load_language_words(options.language_model),
        mode=options.overlap,
        prompts=load_prompts(options.prompts),
    )
    vocabulary.save(options.out)
    log.info("wrote %s: %d rows, %d bytes", options.out, len(vocabulary), options.out.stat().st_size)
