"""Frames of the environments themselves, collected on a random walk, with exact knowledge of their content.

Contract: deterministic in (environment, frames). The frames are never used in training. Each frame is uint8 (60, 80, 3). In
every second episode, SignVarying's agent starts in front of the sign, because a random walk hardly ever gets close enough to
read it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.clip.world.visible import look, place
from training.clip.world.words import Seen
from training.environments.miniworld import single_environment
from training.environments.miniworld_sign import ENV_ID as SIGN_VARYING

ENVIRONMENTS = (
    "MiniWorld-TMaze-v0",
    "MiniWorld-YMaze-v0",
    "MiniWorld-FourRooms-v0",
    "MiniWorld-MazeS3Fast-v0",
    "MiniWorld-PickupObjects-v0",
    "MiniWorld-PutNext-v0",
    "MiniWorld-CollectHealth-v0",
    "MiniWorld-Sign-v0",
    SIGN_VARYING,
)
SEED = 78_000
EPISODE = 40  # steps after which a new world is drawn, for variety
Frame = NDArray[np.uint8]
Met = tuple[Frame, list[Seen], str]  # a frame, the things in it, the place


def walk(environment: str, frames: int) -> list[Met]:
    """Yields what is seen at each step."""
    env = single_environment(environment)
    world: Any = env.unwrapped
    rng = np.random.default_rng(SEED)
    env.reset(seed=SEED)
    met = []
    for step in range(frames):
        met.append((*look(world), place(world)))
        action = 2 if rng.random() < 0.4 else int(rng.integers(3))  # forward more often: else it turns on the spot
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated or (step + 1) % EPISODE == 0:
            env.reset()
            if environment == SIGN_VARYING and rng.random() < 0.5:
                world.go_before_the_sign(rng)
    env.close()
    return met
