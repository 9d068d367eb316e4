"""Where the frames come from on which training.clip.robust trains: those that each small CLIP learned on, and the
environments' own.

A view is what a frame is made of: MiniGrid's encoded view; of MiniWorld and of recognition's pictures the frame itself.

Contract: everything is a pure function of its arguments, generators included. Failure policy: an environment without an
expert raises ValueError, as does any besides the pictures; one that does not exist gymnasium's own error; missing pictures
`PicturesMissingError`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from training.clip.batches import normalise
from training.clip.frames import distinct_frames
from training.clip.pictures.samples import Samples
from training.clip.scenes import draw_view
from training.clip.tiles import render
from training.clip.world import data
from training.clip.world.views import squash
from training.environments.miniworld import single_environment
from training.environments.own import RECOGNITION, gallery

STEPS = 10_000  # of a walk in MiniGrid, for its distinct frames
FRAMES = 5_000  # of a walk in MiniWorld, where no frame comes twice
SLIPS = 0.3  # share of that walk's actions that are random, so that it goes where an expert does not
SEED = 79_000
Array = NDArray[np.uint8]


@dataclass(frozen=True)
class Source:
    """Views of one kind, uint8 (rows, ...).

    draw: (generator, rows) -> views of synthetic scenes. render: views -> frames uint8 (rows, height, width, 3). prepare:
    frames -> images of the model's size, float32 (rows, 3, size, size), normalised. met: environment id -> the views of a
    walk in it.
    """

    draw: Callable[[np.random.Generator, int], Array]
    render: Callable[[Array], Array]
    prepare: Callable[[Array], Tensor]
    met: Callable[[str], Array]


def _draw_grid(rng: np.random.Generator, rows: int) -> Array:
    return np.stack([draw_view(rng) for _ in range(rows)])


def _met_grid(env_id: str) -> Array:
    return distinct_frames(env_id, STEPS)[0]


def expert_frames(env_id: str, count: int) -> Array:
    """Returns frames uint8 (count, 60, 80, 3) of the steps that an expert takes in MiniWorld, and random ones."""
    env = single_environment(env_id)
    world: Any = env.unwrapped
    if not hasattr(world, "expert_action"):
        raise ValueError(f"env {env_id}: expected one with an expert (training.environments.miniworld_sign)")
    rng = np.random.default_rng(SEED)
    frame, _ = env.reset(seed=SEED)
    frames = []
    for _ in range(count):
        frames.append(frame)
        turns = world.action_space.n - 1  # without the action that ends the episode
        action = int(rng.integers(turns)) if rng.random() < SLIPS else world.expert_action()
        frame, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            frame, _ = env.reset()
    env.close()
    return np.stack(frames)


def world_source(folder: Path, *, shards: int, views: int, frames: int) -> Source:
    """Returns MiniWorld's frames. folder, shards, views: rendered views of training.clip.world.data, made when first needed.
    frames: of each environment's walk.
    """

    @cache
    def rendered() -> Array:
        data.make(folder, shards=shards, views=views)
        return data.load(folder)[0]

    return Source(
        draw=lambda rng, rows: rendered()[rng.integers(len(rendered()), size=rows)],
        render=_as_they_are,
        prepare=lambda views: normalise(squash(views)),
        met=lambda env_id: expert_frames(env_id, frames),
    )


def pictures_source() -> Source:
    """Returns the frames of continuous recognition on which its CLIP learned: pictures that are not held out."""
    shown = gallery(RECOGNITION)
    samples = Samples(shown, [picture.name for picture in shown.pictures])

    def met(env_id: str) -> Array:
        raise ValueError(f"env {env_id}: recognition's pictures are all of its frames already")

    return Source(lambda rng, rows: samples.draw(rng, rows)[0], _as_they_are, normalise, met)


def _as_they_are(views: Array) -> Array:
    return views


GRID = Source(_draw_grid, render, normalise, _met_grid)
