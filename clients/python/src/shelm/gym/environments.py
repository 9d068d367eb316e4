"""Environments with the observations that the agents in `models/` were trained on."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def minigrid_env(env_id: str, **kwargs: Any) -> Any:
    """Returns a MiniGrid environment whose observation is the rendered partial view of 7x7 cells, uint8 (56, 56, 3)."""
    import gymnasium

    wrappers: Any = import_module("minigrid.wrappers")  # the import also registers MiniGrid's environments
    return wrappers.ImgObsWrapper(wrappers.RGBImgPartialObsWrapper(gymnasium.make(env_id, **kwargs), tile_size=8))
