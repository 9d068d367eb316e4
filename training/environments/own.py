"""Our own environments: continuous recognition, with the pictures for training and with the held-out ones.

Failure policy: an unknown id raises ValueError with the known ones; missing pictures raise `PicturesMissingError`.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from training.environments.recognition.environment import RecognitionEnv, RecognitionVecEnv
from training.environments.recognition.pictures import load_pictures, split_pictures, stamps_folder
from training.environments.recognition.view import Gallery

RECOGNITION, HELD_OUT = "shelm/ContinuousRecognition-v0", "shelm/ContinuousRecognitionHeldOut-v0"


@cache
def _galleries(folder: Path) -> dict[str, Gallery]:
    training, held_out = split_pictures(load_pictures(folder))
    return {RECOGNITION: Gallery(training), HELD_OUT: Gallery(held_out)}


def gallery(env_id: str) -> Gallery:
    """Returns the pictures of an environment; all environments of a process share their rendered views."""
    if env_id not in (RECOGNITION, HELD_OUT):
        raise ValueError(f"environment: expected {RECOGNITION} or {HELD_OUT}, got {env_id!r}")
    return _galleries(stamps_folder())[env_id]


def vector_environment(tasks: Sequence[tuple[str, int]], *, seed: int) -> RecognitionVecEnv:
    """Returns parallel environments for training; tasks: (environment id, num_envs) pairs. All are rendered together."""
    return RecognitionVecEnv([(env_id, num_envs, gallery(env_id)) for env_id, num_envs in tasks], seed=seed)


def single_environment(env_id: str) -> RecognitionEnv:
    """Returns one environment, with frames uint8 (height, width, 3)."""
    return RecognitionEnv(gallery(env_id))
