"""Chooses the one word of the vocabulary for each picture, and for the views without a picture.

Contract: a pure function of the pictures' names and the known words. Every name gets a word that occurs in it or is related
to one that does, preferably its head noun. If several names share a noun, as many of them as possible get different words (a
maximum matching), so that "red apple" may become "red". A name without any known word gets UNKNOWN.
"""

import re
from collections.abc import Collection, Sequence

from training.clip.pictures.related import RELATED

UNKNOWN = "thing"
CROSS, NEW, OLD, LEFT, RIGHT = "cross", "new", "old", "left", "right"
PLACES = (CROSS, NEW, OLD, LEFT, RIGHT)
# "A bunch of grapes": the word before "of" is not informative.
MEASURES = {"pair", "bunch", "cluster", "head", "string", "quarter", "glass", "couple", "baby", "plant", "part"}
# The head noun comes before these.
_BREAKS = """with in for from is that covered playing dancing on at to resembles are like used means inside ahead hatched was
lets gets stands carries carry called"""
_EMPTY = """the an and of you your it its our we this those who have has or been can go not must now when up very his her
their two first second last most other people let be if by just they these does which should also because
some many another"""
BREAKS = set(_BREAKS.split())
EMPTY = BREAKS | set(_EMPTY.split())


def candidates(name: str, known: Collection[str]) -> list[str]:
    """Returns words of `name` that are in `known`, the most likely head noun first."""
    tokens = re.findall(r"[a-z]+", name.replace("'s", ""))
    if len(tokens) > 2 and tokens[1] == "of" and tokens[0] in MEASURES:
        tokens = tokens[2:]
    end = next((at for at, token in enumerate(tokens) if at and token in BREAKS | {"of"}), len(tokens))
    ordered = tokens[:end][::-1] + tokens[end:]
    spread = [near for word in ordered for near in (word, *RELATED.get(word, ()))]
    return [word for word in dict.fromkeys(spread) if word in known and word not in EMPTY and word not in PLACES]


def assign_words(names: Sequence[str], known: Collection[str]) -> list[str]:
    """Returns a word for each name, by maximum matching."""
    options = [candidates(name, known) for name in names]
    owner: dict[str, int] = {}

    def place(index: int, tried: set[str]) -> bool:
        for word in options[index]:
            if word not in tried:
                tried.add(word)
                if word not in owner or place(owner[word], tried):
                    owner[word] = index
                    return True
        return False

    for index in sorted(range(len(names)), key=lambda i: len(options[i])):
        place(index, set())
    chosen = {index: word for word, index in owner.items()}
    return [chosen.get(index) or (words[0] if words else UNKNOWN) for index, words in enumerate(options)]
