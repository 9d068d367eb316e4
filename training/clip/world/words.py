"""Captions of a MiniWorld view: the words that retrieval should find, and longer true captions.

Contract: a pure function of what is seen (visible.py). The most prominent object comes first, named by its kind and then by
its colour; the next object or the place follows. A readable sign comes before everything else, and the words written on it
take the place of kind and colour ("blue", "box"). A sign that reads BLUE BOX therefore gives the colour first, and a blue
box gives the kind first. Bare words are words of the shared vocabulary, hence "medicine" for a medkit, "duck" for a duckie,
"bottle" for a potion and "card" for a keycard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

COLOURS = ("red", "green", "blue", "purple", "yellow", "grey")
COLOURED = ("box", "ball", "key")
MESHES = {
    "medkit": "medicine",
    "duckie": "duck",
    "potion": "bottle",
    "cone": "cone",
    "barrel": "barrel",
    "office_chair": "chair",
    "building": "building",
    "tree": "tree",
    "barrier": "barrier",
    "keycard": "card",
}
PLACES = ("wall", "corridor", "room")
BARE_WORDS = (*COLOURED, *MESHES.values(), "sign", *COLOURS, *PLACES)
CLEAR = 12  # pixels of the 4,800 from which a thing is named
GLIMPSE = 4  # pixels from which it is no longer wrong to name it
FIRST, WITH_PLACE, KIND = 0.8, 0.9, 0.75  # shares: of two things, of a thing before its place, of a kind before its colour


@dataclass(frozen=True)
class Seen:
    """One object in view.

    kind: bare word. colour: "" if it has none. pixels: number of visible pixels. text: readable text.
    """

    kind: str
    colour: str
    pixels: int
    text: tuple[str, ...] = ()


@dataclass(frozen=True)
class Said:
    """The captions of one view.

    words: bare word -> share of the target, summing to 1. longer: captions of more than one word. true: bare words that are
    true of the view, including those of `words`.
    """

    words: dict[str, float]
    longer: tuple[str, ...]
    true: frozenset[str]

    @property
    def first(self) -> str:
        """The word that should be retrieved first."""
        return max(self.words, key=lambda word: self.words[word])


def _shares(seen: Seen) -> dict[str, float]:
    """Returns the words of one object."""
    pair = [*seen.text, "sign"][:2] if seen.text else [word for word in (seen.kind, seen.colour) if word]
    return dict(zip(pair, (KIND, 1 - KIND) if len(pair) > 1 else (1.0,), strict=True))


def _phrases(seen: Seen) -> tuple[str, ...]:
    if seen.text:
        written = " ".join(seen.text)
        return (f"the sign says {written}", f"a sign that says {written}")
    return tuple(dict.fromkeys((f"a {seen.kind}", f"a {seen.colour} {seen.kind}".replace("  ", " "))))


def ranked(things: Sequence[Seen]) -> list[Seen]:
    """Returns the clearly visible objects, most prominent first: readable signs, then by pixels."""
    clear = [thing for thing in things if thing.pixels >= CLEAR]
    return sorted(clear, key=lambda thing: (not thing.text, -thing.pixels))


def _weighted(*parts: tuple[dict[str, float], float]) -> dict[str, float]:
    words: dict[str, float] = {}
    for shares, weight in parts:
        for word, share in shares.items():
            words[word] = words.get(word, 0.0) + weight * share
    return words


def caption(things: Sequence[Seen], place: str) -> Said:
    """Returns the captions of one view."""
    order = ranked(things)
    if not order:
        return Said({place: 1.0}, (f"a {place}", f"an empty {place}"), frozenset([place]))
    glimpsed = {word for thing in things if thing.pixels >= GLIMPSE for word in _shares(thing)}
    if len(order) == 1:
        words = _weighted((_shares(order[0]), WITH_PLACE), ({place: 1.0}, 1 - WITH_PLACE))
        return Said(words, _phrases(order[0]), frozenset(glimpsed | set(words)))
    words = _weighted((_shares(order[0]), FIRST), (_shares(order[1]), 1 - FIRST))
    both = f"{' '.join(_shares(order[0]))} and {' '.join(_shares(order[1]))}"
    return Said(words, (*_phrases(order[0]), both), frozenset(glimpsed | set(words)))
