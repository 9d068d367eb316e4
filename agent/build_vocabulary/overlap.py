"""Overlap of CLIP's vocabulary with a language model's: the words that an agent can remember (docs/paper.md#vocabulary).

Contract: pure functions over strings. Rows are returned in ascending CLIP id. A word that the language model lists twice
gets its lowest id. Strings are matched by hash look-up; the authors compare every pair (docs/paper.md#q19). The modes are:
- `reference` (docs/paper.md#q1): the decoded CLIP string equals the language model's. CLIP tokens that end a word decode
  with a trailing space, so only word pieces can match.
- `words`: whole words of both vocabularies: CLIP's word-final tokens without their marker and the language model's
  whole-word tokens, with at least two letters a-z.
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
    """The vocabulary of a language model.

    decoded: token id -> decoded string, ordinary tokens only (no control tokens). whole: whole word -> token id. sha256: as
    words_sha256 in agent.memory.described.
    """

    name: str
    decoded: Mapping[int, str]
    whole: Mapping[str, int]
    sha256: str = ""


@dataclass(frozen=True)
class Entry:
    """One row of a vocabulary: the decoded string, its CLIP token id and its language-model token id."""

    word: str
    clip_id: int
    token_id: int


@lru_cache(maxsize=1)
def clip_strings() -> tuple[str, ...]:
    """Returns CLIP's 49,406 ordinary tokens as `decode([id])` returns them, without the two control tokens at the end."""
    tokenizer = SimpleTokenizer()
    return tuple(tokenizer.decode([index]) for index in range(len(tokenizer.encoder) - 2))


def _reference(language_model: LanguageModelWords) -> Iterable[Entry]:
    ids: dict[str, int] = {}
    for token_id, text in sorted(language_model.decoded.items()):
        ids.setdefault(text, token_id)
    return (Entry(text, index, ids[text]) for index, text in enumerate(clip_strings()) if text in ids)


def _words(language_model: LanguageModelWords) -> Iterable[Entry]:
    # Only a word-final token decodes with a trailing space.
    final = ((index, text[:-1]) for index, text in enumerate(clip_strings()) if text.endswith(" "))
    whole = language_model.whole
    return (Entry(word, index, whole[word]) for index, word in final if word in whole and _WORD.fullmatch(word))


def overlap(language_model: LanguageModelWords, mode: Mode) -> list[Entry]:
    """Returns the rows of the vocabulary in ascending CLIP id; raises ValueError for an unknown mode."""
    if mode not in ("reference", "words"):
        raise ValueError(f"overlap: expected 'reference' or 'words', got {mode!r}")
    return list(_reference(language_model) if mode == "reference" else _words(language_model))
