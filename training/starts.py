"""The distinct starts of an environment by its id; what they are is in shelm.gym.starts.

Failure policy: that of shelm.gym.starts.
"""

from shelm.gym import starts

from training.environments import single_environment


def distinct_starts(env_id: str) -> list[int]:
    """Returns the seeds of an environment's distinct starts."""
    env = single_environment(env_id)
    try:
        return starts.distinct_starts(env)
    finally:
        env.close()
