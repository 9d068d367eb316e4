"""All environments for training and evaluation, behind two functions.

`vector_environment` is for training: several environments in parallel, observations uint8 (num_envs, 3, height, width). The
info of an environment whose episode ended contains `terminal_observation`, `TimeLimit.truncated`, `environment` (its id) and
`episode` ({"r": return, "l": length}). `single_environment` is for evaluation: one environment, observations uint8 (height,
width, 3).

The prefix of an id selects its family: `MiniGrid-`, `MiniWorld-`, `shelm/` (our own), `Avalon-`; `MODULE:ID` is any
environment that `MODULE` registers with gymnasium. Failure policy: an unknown id raises ValueError naming it.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import gymnasium
from stable_baselines3.common.vec_env import VecEnv

_FAMILIES = {"MiniGrid-": "minigrid", "MiniWorld-": "miniworld", "shelm/": "own", "Avalon-": "avalon"}


def _family(env_id: str) -> Any:
    """Returns the module of the environment's family; imported on demand, because each family has its own renderer."""
    for prefix, module in _FAMILIES.items():
        if env_id.startswith(prefix):
            return import_module(f"training.environments.{module}")
    if ":" in env_id:
        return import_module("training.environments.registered")
    text = f"expected MODULE:ID, or an id that begins with one of {sorted(_FAMILIES)}"
    raise ValueError(f"environment: {text}, got {env_id!r}")


def vector_environment(tasks: Sequence[tuple[str, int]], *, seed: int) -> VecEnv:
    """Returns parallel environments. tasks: (environment id, num_envs) pairs of one family."""
    family = _family(tasks[0][0])
    if any(_family(env_id) is not family for env_id, _ in tasks):
        raise ValueError(f"tasks: all must be of one family, got {[env_id for env_id, _ in tasks]}")
    environment: VecEnv = family.vector_environment(tasks, seed=seed)
    return environment


def single_environment(env_id: str) -> gymnasium.Env[Any, Any]:
    """Returns one environment by id."""
    environment: gymnasium.Env[Any, Any] = _family(env_id).single_environment(env_id)
    return environment
