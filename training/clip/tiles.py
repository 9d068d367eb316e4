"""Renders encoded MiniGrid views as `RGBImgPartialObsWrapper(tile_size=8)` does, by table look-up.

Contract: the RGB partial view is a pure function of the symbolic view (7, 7, 3), so a frame is 49 look-ups in a table of
8x8 tiles drawn by MiniGrid itself. Pixels are equal to the wrapper's (tests/unit/training/clip/test_scenes.py). Failure: a
view with codes outside MiniGrid's tables raises IndexError.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

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


@lru_cache(maxsize=1)
def _lines() -> NDArray[np.int64]:
    """Returns the same tiles with channels first, each line of 8 pixels as one number: int64 (2, 10, 6, 3, 3, 8)."""
    lines: NDArray[np.int64] = np.ascontiguousarray(_table().transpose(0, 1, 2, 3, 6, 4, 5)).view(np.int64)[..., 0]
    return lines


def _looked_up(table: NDArray[Any], views: NDArray[np.uint8]) -> NDArray[Any]:
    """Returns the tiles of a table for each cell: (rows, x, y, ...)."""
    agent = np.zeros((VIEW, VIEW), np.intp)
    agent[AGENT] = 1
    return table[agent[None], views[..., 0], views[..., 1], views[..., 2]]


def render(views: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns frames uint8 (rows, 56, 56, 3) of encoded views uint8 (rows, 7, 7, 3), indexed [x, y] as in MiniGrid."""
    tiles, size = _looked_up(_table(), views), VIEW * TILE
    return np.ascontiguousarray(tiles.transpose(0, 2, 3, 1, 4, 5).reshape(-1, size, size, 3))


def render_channels_first(views: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the same frames as uint8 (rows, 3, 56, 56)."""
    lines = _looked_up(_lines(), views).transpose(0, 3, 2, 4, 1)  # rows, 3, y, 8, x
    return np.ascontiguousarray(lines).view(np.uint8).reshape(len(views), 3, VIEW * TILE, VIEW * TILE)
