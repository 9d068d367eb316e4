"""Episodes as a dataset of LeRobot (`LeRobotDataset`, version 3), where lerobot is installed.

Features: `observation.image` (the recorded frame, as PNG), `action` (int64 (1,) or float32 (dimensions,)), `words` (text),
`value` (float32 (1,)) and `next.done` (bool (1,), true at an episode's last step). The task is `agent NAME`. A reward is
known of whole episodes only, so there is no `next.reward`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shelm.client import Client
from shelm.export.recorded import Recorded, complete, frames_of, no_frames
from shelm.results import Action

FRAME, ACTION = "observation.image", "action"


def write_lerobot(client: Client, episodes: Iterable[Recorded], folder: Path, *, fps: int) -> None:
    """Writes a new folder with all episodes, of agents with frames and actions of one shape.

    Raises FrameNotRecorded if a step has no recorded frame, FileExistsError if the folder exists, ValueError for an action
    of several parts or an episode whose frames or actions have another shape than those before.
    """
    try:
        from lerobot.datasets.lerobot_dataset import LeRobotDataset
    except ImportError:
        raise ModuleNotFoundError("lerobot is missing; pip install lerobot (8 GB with the torch that it needs)") from None
    if folder.exists():
        raise FileExistsError(errno.EEXIST, "the folder exists already", str(folder))
    with complete(folder) as part:
        dataset: Any = None
        for episode in episodes:
            for step, frame in zip(episode.steps, frames_of(client, episode)):
                if frame is None:
                    raise no_frames(episode)
                taken = {FRAME: frame, ACTION: vector(step.action)}
                if dataset is None:
                    dataset = LeRobotDataset.create(folder.name, fps, features(taken), root=part, use_videos=False)
                for name, value in taken.items():
                    if value.shape != (wanted := tuple(dataset.features[name]["shape"])):
                        shape = f"{name} has the shape {value.shape}, of the episodes before {wanted}"
                        raise ValueError(f"episode {episode.info.episode_id}: {shape}; export them apart")
                taken["value"] = np.array([step.value], np.float32)
                taken["next.done"] = np.array([step is episode.steps[-1]])
                said = {"words": " ".join(token.text for token in step.tokens), "task": f"agent {episode.info.agent}"}
                dataset.add_frame({**taken, **said})
            if episode.steps:
                dataset.save_episode()
        if dataset is None:
            raise ValueError("no episode has a step")
        dataset.finalize()


def vector(action: Action) -> NDArray[Any]:
    """Returns int64 (1,) of a discrete action, the vector of a continuous one; ValueError if it has several parts."""
    if isinstance(action, dict):
        raise ValueError(f"an action of several parts ({', '.join(action)}) has no place in a dataset of LeRobot")
    return np.array([action]) if isinstance(action, int) else np.asarray(action, np.float32)


def features(step: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Returns LeRobot's description of a step. step: its frame and its action."""
    return {
        FRAME: {"dtype": "image", "shape": step[FRAME].shape, "names": ["height", "width", "channels"]},
        ACTION: {"dtype": str(step[ACTION].dtype), "shape": step[ACTION].shape, "names": None},
        "words": {"dtype": "string", "shape": (1,), "names": None},
        "value": {"dtype": "float32", "shape": (1,), "names": None},
        "next.done": {"dtype": "bool", "shape": (1,), "names": None},
    }
