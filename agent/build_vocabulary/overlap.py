"""Overlap of CLIP's vocabulary with a language model's: which words can be remembered (docs/paper.md#vocabulary).

Contract: pure functions over strings; rows come out in ascending CLIP id. A word that the language model lists twice gets
its lowest id. Hash look-up, where the authors compared every pair of strings (docs/paper.md#q19).
- `reference` (docs/paper.md#q1): the decoded CLIP string equals the language model's. CLIP tokens that end a word
  decode with a trailing blank, so only word pieces can match.
- `words`: whole words of both: CLIP word-final tokens without their marker, language-model tokens that are whole words, of
  at least two letters a-z.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from open_clip.tokenizer import SimpleTokenizer

Mode = Literal["reference", "words"]
_WORD = re.compile(r"[a-z]{2,}")


@dataclass(frozen=True)
class LanguageModelWords:
    """A language model's vocabulary, seen from outside.

    decoded: token id -> decoded string, ordinary tokens only (no control tokens). whole: whole word -> token id.
    """

    name: str
    decoded: Mapping[int, str]
    whole: Mapping[str, int]


@dataclass(frozen=True)
class Entry:
    """One row: the decoded string, CLIP's id of it and the language model's id of it."""

    word: str
    clip_id: int
    token_id: int


@lru_cache(maxsize=1)
def clip_strings() -> tuple[str, ...]:
    """CLIP's 49,406 ordinary tokens as `decode([id])` gives them; the two control tokens at the end are left out."""
    tokenizer = SimpleTokenizer()
    return tuple(tokenizer.decode([index]) for index in range(len(tokenizer.encoder) - 2))


def _reference(language_model: LanguageModelWords) -> Iterable[Entry]:
    ids: dict[str, int] = {}
    for token_id, text in sorted(language_model.decoded.items()):
        ids.setdefault(text, token_id)
    return (Entry(text, index, ids[text]) for index, text in enumerate(clip_strings()) if text in ids)


def _words(language_model: LanguageModelWords) -> Iterable[Entry]:
    # Only a word-final token decodes with a trailing blank.
    final = ((index, text[:-1]) for index, text in enumerate(clip_strings()) if text.endswith(" "))
    whole = language_model.whole
    return (Entry(word, index, whole[word]) for index, word in final if word in whole and _WORD.fullmatch(word))


def overlap(language_model: LanguageModelWords, mode: Mode) -> list[Entry]:
    """The rows of a vocabulary, ascending CLIP id. ValueError for an unknown mode."""
    if mode not in ("reference", "words"):
        raise ValueError(f"overlap: expected 'reference' or 'words', got {mode!r}")
    return list(_reference(language_model) if mode == "reference" else _words(language_model))
