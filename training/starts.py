"""The distinct starts of an environment by its id; what they are is in shelm.gym.starts. And seeds, where there are none.

Failure policy: that of shelm.gym.starts.
"""

from shelm.gym import starts

from training.environments import single_environment

UNSEEN = 2_000_000  # the first of the seeds that no training is made with


def starts_or_seeds(env_id: str, most: int | None) -> tuple[list[int], bool]:
    """Returns the seeds of at most so many distinct starts and True; or, of an environment whose starts cannot be listed, so
    many seeds from `UNSEEN` on and False. most None: all starts.
    """
    try:
        return distinct_starts(env_id)[:most], True
    except ValueError as error:
        if most is None:
            raise ValueError(f"{error}: say how many seeds to play") from None
        return list(range(UNSEEN, UNSEEN + most)), False


def distinct_starts(env_id: str) -> list[int]:
    """Returns the seeds of an environment's distinct starts."""
    env = single_environment(env_id)
    try:
        return starts.distinct_starts(env)
    finally:
        env.close()
