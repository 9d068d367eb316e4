"""Distinct partial views of the environments themselves, from a random walk; training.clip.robust may train on them.

Contract: deterministic in (environment, steps). Views are equal to those of the agent's wrapper; each is returned once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import minigrid  # noqa: F401  registers the environments
import numpy as np
from minigrid.core.constants import IDX_TO_OBJECT
from minigrid.wrappers import ImgObsWrapper, RGBImgPartialObsWrapper
from numpy.typing import NDArray

from training.clip.scenes import OBJECTS, View
from training.clip.tiles import TILE

ENVIRONMENTS = (
    "MiniGrid-MemoryS11-v0",
    "MiniGrid-MemoryS7-v0",
    "MiniGrid-KeyCorridorS3R3-v0",
    "MiniGrid-RedBlueDoors-6x6-v0",
    "MiniGrid-Unlock-v0",
    "MiniGrid-DoorKey-6x6-v0",
    "MiniGrid-Dynamic-Obstacles-5x5-v0",
)
SEED = 77_000


def walk(environment: str, steps: int) -> Iterator[tuple[View, NDArray[np.uint8]]]:
    """Yields (encoded view, frame uint8 (56, 56, 3)) at each step of a random walk."""
    env = gymnasium.make(environment)
    drawn: gymnasium.Env[Any, Any] = ImgObsWrapper(RGBImgPartialObsWrapper(env, tile_size=TILE))  # type: ignore[no-untyped-call]
    rng = np.random.default_rng(SEED)
    frame, _ = drawn.reset(seed=SEED)
    for _ in range(steps):
        yield env.unwrapped.gen_obs()["image"].copy(), frame  # type: ignore[attr-defined]
        frame, _, terminated, truncated, _ = drawn.step(int(rng.integers(drawn.action_space.n)))  # type: ignore[attr-defined]
        if terminated or truncated:
            frame, _ = drawn.reset()
    env.close()


def distinct_frames(environment: str, steps: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Returns views uint8 (rows, 7, 7, 3) and frames uint8 (rows, 56, 56, 3), one row per distinct frame, in order of
    occurrence.
    """
    met: dict[bytes, tuple[View, NDArray[np.uint8]]] = {}
    for view, frame in walk(environment, steps):
        met.setdefault(frame.tobytes(), (view, frame))
    views, frames = zip(*met.values(), strict=True)
    return np.stack(views), np.stack(frames)


def single_kinds(views: NDArray[np.uint8]) -> dict[int, str]:
    """Returns the name of the object by row, of the views that have one kind of object in view."""
    return {row: IDX_TO_OBJECT[kinds(view).pop()] for row, view in enumerate(views) if len(kinds(view)) == 1}


def kinds(view: View) -> set[int]:
    """Returns the kinds of object in view, including a carried one."""
    return set(np.unique(view[..., 0]).tolist()) & set(OBJECTS)
