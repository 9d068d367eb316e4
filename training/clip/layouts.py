"""Random worlds with the structure of MiniGrid's environments: rooms, corridors with a fork, doors in walls, clutter.

Contract: a layout is a bool array [x, y], True for walls; the agent may be on any False cell. Nothing is copied from an
environment, so training never sees the environments' own frames.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

SIZE = 19
Layout = NDArray[np.bool_]


def room(rng: np.random.Generator) -> Layout:
    """Returns one rectangular room with sides of 3..8 cells; outside it is nothing, or solid wall as beyond the edge of a
    grid.
    """
    walls = np.full((SIZE, SIZE), bool(rng.random() < 0.5))
    width, height = rng.integers(3, 9, 2)
    x, y = rng.integers(1, SIZE - width - 1), rng.integers(1, SIZE - height - 1)
    walls[x - 1 : x + width + 1, y - 1 : y + height + 1] = True
    walls[x : x + width, y : y + height] = False
    return walls


def rooms(rng: np.random.Generator) -> Layout:
    """Returns rooms of equal size side by side, with one open cell in some of their dividing walls."""
    walls = np.zeros((SIZE, SIZE), bool)
    pitch = int(rng.integers(3, 7))
    walls[::pitch, :] = True
    walls[:, ::pitch] = True
    for x, y in np.ndindex(SIZE // pitch, SIZE // pitch):
        if rng.random() < 0.4:
            walls[min(x * pitch + int(rng.integers(1, pitch)), SIZE - 1), y * pitch] = False
        if rng.random() < 0.4:
            walls[x * pitch, min(y * pitch + int(rng.integers(1, pitch)), SIZE - 1)] = False
    return walls


def corridor(rng: np.random.Generator) -> Layout:
    """Returns a start room, a hallway one cell wide, and a hallway across its end, as in MemoryS7..S17."""
    walls = np.ones((SIZE, SIZE), bool)
    middle, begin = SIZE // 2, int(rng.integers(1, 4))
    length, half = int(rng.integers(1, 12)), int(rng.integers(1, 3))
    end = min(begin + 3 + length, SIZE - 3)
    walls[begin : begin + 3, middle - half : middle + half + 1] = False
    walls[begin:end, middle] = False
    reach = int(rng.integers(1, 5))
    walls[end, middle - reach : middle + reach + 1] = False
    return walls


def clutter(rng: np.random.Generator) -> Layout:
    """Returns walls at random cells."""
    return rng.random((SIZE, SIZE)) < rng.uniform(0.02, 0.5)


LAYOUTS: tuple[tuple[Callable[[np.random.Generator], Layout], float], ...] = (
    (room, 0.3),
    (rooms, 0.2),
    (corridor, 0.35),
    (clutter, 0.15),
)


def draw(rng: np.random.Generator) -> Layout:
    """Returns a layout of a random type, rotated by a random multiple of 90 degrees."""
    sort = int(rng.choice(len(LAYOUTS), p=[share for _, share in LAYOUTS]))
    return np.rot90(LAYOUTS[sort][0](rng), int(rng.integers(4)))
