"""The distinct starts of an environment: the states in which an episode can begin.

An environment with few starts repeats them: 500 episodes of MiniGrid-MemoryS11 are its 32 starts about 16 times each. What
is counted over episodes then looks more certain than it is.

Contract: `distinct_starts` returns one seed per distinct state after `reset(seed=...)`, the first of 0, 1, ... that meets
it; it stops after `PATIENCE` times as many resets without a new one as there are starts. Failure policy: an
environment whose state cannot be told (it is no MiniGrid), or with more than `MOST` starts, raises ValueError; `start_of`
takes each seed of such an environment for a start of its own.
"""

from __future__ import annotations

from typing import Any

PATIENCE = 20  # a start as likely as the others is then missed with a probability of e**-20
MOST = 2000


def state(env: Any) -> str:
    """Returns what identifies the state of a MiniGrid environment: all cells, and the agent's place and direction."""
    try:
        digest: str = env.unwrapped.hash(size=64)
    except AttributeError:
        raise ValueError(f"starts: expected an environment of MiniGrid, got {type(env.unwrapped).__name__}") from None
    return digest


def start_of(env: Any, seed: int) -> str:
    """Returns a name of the start of the episode that was just begun with `reset(seed=seed)`: 16 hexadecimal digits of its
    state, or `seed SEED` where the state cannot be told.
    """
    try:
        return state(env)[:16]
    except ValueError:
        return f"seed {seed}"


def distinct_starts(env: Any) -> list[int]:
    """Returns the seeds of an environment's distinct starts; resets it."""
    seeds: dict[str, int] = {}
    seed, last = 0, 0
    while seed - last <= PATIENCE * max(len(seeds), 1):
        env.reset(seed=seed)
        if (key := state(env)) not in seeds:
            seeds[key], last = seed, seed
        if len(seeds) > MOST:
            raise ValueError(f"starts: {type(env.unwrapped).__name__} has more than {MOST}")
        seed += 1
    return list(seeds.values())
