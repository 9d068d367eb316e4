"""Renders encoded MiniGrid views as `RGBImgPartialObsWrapper(tile_size=8)` does, by table look-up.

Contract: the RGB partial view is a pure function of the symbolic view (7, 7, 3), so a frame is 49 look-ups in a table of 8x8
tiles drawn by MiniGrid itself. Pixels are equal to the wrapper's (tests/unit/test_clip_scenes.py). Failure: a view with
codes outside MiniGrid's tables raises IndexError.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from minigrid.core.constants import OBJECT_TO_IDX
from minigrid.core.grid import Grid
from minigrid.core.world_object import WorldObj
from numpy.typing import NDArray

VIEW = 7  # cells a side
TILE = 8  # pixels a side
AGENT = (3, 6)  # (x, y) of the agent in its own view: bottom centre
UNSEEN = OBJECT_TO_IDX["unseen"]
KINDS, COLOURS, STATES = 10, 6, 3  # unseen .. lava; red .. grey; open, closed, locked


@lru_cache(maxsize=1)
def _table() -> NDArray[np.uint8]:
    """Returns the tiles by (agent on it, kind, colour, state): uint8 (2, 10, 6, 3, 8, 8, 3)."""
    table = np.zeros((2, KINDS, COLOURS, STATES, TILE, TILE, 3), np.uint8)
    for agent, kind, colour, state in np.ndindex(2, KINDS, COLOURS, STATES):
        obj = WorldObj.decode(kind, colour, state)
        heading = 3 if agent else None  # the view is turned so that the agent looks up
        table[agent, kind, colour, state] = Grid.render_tile(obj, heading, highlight=kind != UNSEEN, tile_size=TILE)
    return table


def render(views: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns frames uint8 (rows, 56, 56, 3) of encoded views uint8 (rows, 7, 7, 3), indexed [x, y] as in MiniGrid."""
    agent = np.zeros((VIEW, VIEW), np.intp)
    agent[AGENT] = 1
    tiles = _table()[agent[None], views[..., 0], views[..., 1], views[..., 2]]  # rows, x, y, 8, 8, 3
    size = VIEW * TILE
    return np.ascontiguousarray(tiles.transpose(0, 2, 3, 1, 4, 5).reshape(-1, size, size, 3))
