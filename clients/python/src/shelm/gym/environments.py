"""Environments as the shipped agents were trained on them."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def minigrid_env(env_id: str, **kwargs: Any) -> Any:
    """Returns a MiniGrid environment that observes the agent's partial view of 7x7 cells, uint8 (56, 56, 3)."""
    import gymnasium

    wrappers: Any = import_module("minigrid.wrappers")  # also registers MiniGrid's environments
    return wrappers.ImgObsWrapper(wrappers.RGBImgPartialObsWrapper(gymnasium.make(env_id, **kwargs), tile_size=8))
