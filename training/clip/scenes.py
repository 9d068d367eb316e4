"""Synthetic partial views: a random world seen by an agent at the bottom centre, with 0..3 objects.

Contract: `draw_view` returns uint8 (7, 7, 3) = (kind, colour, state) per cell, indexed [x, y], with the encoding of
`MiniGridEnv.gen_obs()["image"]`: unseen cells are zero, cells behind walls and closed doors are unseen (unless the world is
see-through), and a carried object is on the agent's own cell.
"""

from __future__ import annotations

import numpy as np
from minigrid.core.constants import OBJECT_TO_IDX
from numpy.typing import NDArray

from training.clip import layouts
from training.clip.tiles import AGENT, COLOURS, VIEW

EMPTY, WALL, DOOR, KEY, BALL, BOX, GOAL, LAVA = (
    OBJECT_TO_IDX[name] for name in ("empty", "wall", "door", "key", "ball", "box", "goal", "lava")
)
OBJECTS = (DOOR, KEY, BALL, BOX, GOAL, LAVA)
OBJECT_SHARES = (0.22, 0.26, 0.26, 0.12, 0.08, 0.06)
COUNT_SHARES = (0.25, 0.42, 0.22, 0.11)  # of 0, 1, 2, 3 objects
GREY, GREEN, RED = 5, 1, 0
SEE_THROUGH = 0.12  # share of see-through worlds (Dynamic-Obstacles is one)
CARRY = 0.12
SAME_KIND = 0.3  # several objects of one kind, as obstacles and doors are

View = NDArray[np.uint8]


def visible(opaque: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Computes MiniGrid's `Grid.process_vis` for the agent at the bottom centre; bool [x, y] (7, 7) in and out."""
    size = opaque.shape[0]
    mask = np.zeros((size, size), bool).tolist()
    blocked = opaque.tolist()
    mask[AGENT[0]][AGENT[1]] = True
    for y in reversed(range(size)):
        for xs, side in ((range(size - 1), 1), (range(size - 1, 0, -1), -1)):
            for x in xs:
                if mask[x][y] and not blocked[x][y]:
                    mask[x + side][y] = True
                    if y > 0:
                        mask[x + side][y - 1] = mask[x][y - 1] = True
    return np.array(mask)


def _window(walls: layouts.Layout, rng: np.random.Generator) -> View:
    """Returns the 7x7 cells in front of an agent at a random free cell; beyond the world's edge are walls, as in
    `Grid.slice`.
    """
    free = np.argwhere(~walls)
    x, y = free[rng.integers(len(free))] + VIEW
    padded = np.pad(walls, VIEW, constant_values=True)
    cells = padded[x - AGENT[0] : x - AGENT[0] + VIEW, y - AGENT[1] : y + 1]
    view = np.zeros((VIEW, VIEW, 3), np.uint8)
    view[..., 0] = np.where(cells, WALL, EMPTY)
    view[..., 1] = np.where(cells, GREY, 0)
    return view


def _object(kind: int, rng: np.random.Generator) -> tuple[int, int, int]:
    colour = {GOAL: GREEN, LAVA: RED}.get(kind, int(rng.integers(COLOURS)))
    return kind, colour, int(rng.integers(3)) if kind == DOOR else 0


def _place_objects(view: View, seen: NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Places 0..3 objects on visible cells: doors in walls if there are any, the others on empty cells."""
    kinds = rng.choice(OBJECTS, int(rng.choice(4, p=COUNT_SHARES)), p=OBJECT_SHARES)
    if rng.random() < SAME_KIND:
        kinds[:] = kinds[:1]
    for kind in kinds.tolist():
        wanted = WALL if kind == DOOR and rng.random() < 0.85 else EMPTY
        cells = np.argwhere(seen & (view[..., 0] == wanted))
        cells = cells[(cells != AGENT).any(1)]
        if len(cells):
            x, y = cells[rng.integers(len(cells))]
            view[x, y] = _object(kind, rng)


def opaque(view: View) -> NDArray[np.bool_]:
    """Returns the cells that block the view: walls, and doors that are not open."""
    cells: NDArray[np.bool_] = (view[..., 0] == WALL) | ((view[..., 0] == DOOR) & (view[..., 2] != 0))
    return cells


def draw_view(rng: np.random.Generator) -> View:
    """Returns one random encoded view, uint8 (7, 7, 3)."""
    view = _window(layouts.draw(rng), rng)
    see_through = rng.random() < SEE_THROUGH
    everywhere = np.ones((VIEW, VIEW), bool)
    _place_objects(view, everywhere if see_through else visible(opaque(view)), rng)
    seen = everywhere if see_through else visible(opaque(view))
    view[AGENT] = (EMPTY, 0, 0)
    if rng.random() < CARRY:
        view[AGENT] = _object(int(rng.choice((KEY, BALL, BOX), p=(0.6, 0.2, 0.2))), rng)
    view[~seen] = 0
    return view
