"""Plays gymnasium environments with a served agent.

`play` works with any environment with gymnasium's reset and step, `play_vector` with gymnasium's vector environments,
`play_seeds` plays the same episodes with every agent (`evaluation`, `intervals` and `starts` compare them), `branch` plays
what would have followed from a step of an episode with another memory;
`minigrid_env` needs the extra: pip install "shelm-client[gymnasium]". Errors of the server and of the environment are raised
after the running episodes have been ended.
"""

from __future__ import annotations

from shelm.boundary import frame_of
from shelm.gym.branching import Rollout, branch
from shelm.gym.environments import minigrid_env
from shelm.gym.evaluation import Played
from shelm.gym.seeded import play_seeds
from shelm.gym.single import play
from shelm.gym.summary import Summary, Transition
from shelm.gym.vector import play_vector

__all__ = [
    "Played",
    "Rollout",
    "Summary",
    "Transition",
    "branch",
    "frame_of",
    "minigrid_env",
    "play",
    "play_seeds",
    "play_vector",
]
