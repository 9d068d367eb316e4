"""Captions of a view: the bare word that retrieval should find, and longer true captions.

Contract: a pure function of the encoded view (7, 7, 3). The bare word names the object nearest to the agent (in steps; at
equal distance the left one, then the farther row). A carried object is named only if no other is in view, because it would
otherwise hide everything for the rest of the episode. A view without objects is "wall" (a wall directly ahead), "corridor"
(walls on both sides) or "floor". The attributes of the named object (its colour and a door's state) are words too, for
models that must distinguish objects of one kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from minigrid.core.constants import IDX_TO_COLOR, IDX_TO_OBJECT

from training.clip.scenes import DOOR, GOAL, LAVA, OBJECTS, WALL, View
from training.clip.tiles import AGENT

OBJECT_WORDS = tuple(IDX_TO_OBJECT[kind] for kind in OBJECTS)
PLACE_WORDS = ("wall", "corridor", "floor")
BARE_WORDS = OBJECT_WORDS + PLACE_WORDS
STATES = ("open", "closed", "locked")
LOOKS = (*IDX_TO_COLOR.values(), *STATES)  # attributes of an object


@dataclass(frozen=True)
class Captions:
    """All captions of one view.

    word: the bare word. others: bare words of the other kinds in view. longer: true captions of more than one word. looks:
    colour and state of the object that `word` names. other_looks: those of the other objects in view.
    """

    word: str
    others: tuple[str, ...]
    longer: tuple[str, ...]
    looks: tuple[str, ...] = ()
    other_looks: tuple[str, ...] = ()


def _objects(view: View) -> list[tuple[int, int, int]]:
    """Returns (kind, colour, state) of the objects in view, nearest first."""
    cells = np.argwhere(np.isin(view[..., 0], OBJECTS)).tolist()
    carried = list(AGENT)
    cells.sort(key=lambda c: (c == carried, abs(c[0] - AGENT[0]) + AGENT[1] - c[1], c[0], c[1]))
    return [(int(view[x, y, 0]), int(view[x, y, 1]), int(view[x, y, 2])) for x, y in cells]


def _place(view: View) -> str:
    x, y = AGENT
    if view[x, y - 1, 0] == WALL:
        return "wall"
    sides = view[[x - 1, x + 1], y - 1, 0]
    return "corridor" if (sides == WALL).all() else "floor"


def _longer(kind: int, colour: int, state: int) -> tuple[str, ...]:
    name = IDX_TO_OBJECT[kind]
    if kind in (GOAL, LAVA):
        return (f"a {name}",)
    coloured = f"{IDX_TO_COLOR[colour]} {name}"
    if kind != DOOR:
        return (f"a {name}", coloured)
    return (f"a {name}", coloured, f"{STATES[state]} {name}", f"{STATES[state]} {coloured}")


def _looks(kind: int, colour: int, state: int) -> tuple[str, ...]:
    if kind in (GOAL, LAVA):
        return ()
    return (IDX_TO_COLOR[colour], STATES[state]) if kind == DOOR else (IDX_TO_COLOR[colour],)


def captions(view: View) -> Captions:
    """Returns the captions of one encoded view."""
    objects = _objects(view)
    if not objects:
        place = _place(view)
        return Captions(place, (), (f"a {place}", f"empty {place}"))
    names = list(dict.fromkeys(IDX_TO_OBJECT[kind] for kind, _, _ in objects))
    pairs = tuple(f"{names[0]} and {other}" for other in names[1:])
    looks = _looks(*objects[0])
    other_looks = {look for one in objects[1:] for look in _looks(*one)} - set(looks)
    return Captions(names[0], tuple(names[1:]), _longer(*objects[0]) + pairs, looks, tuple(sorted(other_looks)))
