"""An episode as it is exported: its metadata, its steps, and the frames that the server recorded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
from numpy.typing import NDArray

from shelm.errors import FrameNotRecorded, RecordingOff
from shelm.reader import Reader
from shelm.results import ActionSpace, EpisodeInfo, MemoryStep
from shelm.texts import space_in

HOW_TO_RECORD = (
    "only steps that were taken while the server recorded have frames: set SHELM_RECORD=FOLDER at the server (`make serve` "
    "does) and play again; words, actions and values need no frames (--format jsonl or csv)"
)


@dataclass(frozen=True)
class Recorded:
    """One episode, read whole but for its frames."""

    info: EpisodeInfo
    steps: list[MemoryStep]
    """The retained steps, oldest first; without words if the agent keeps none."""
    space: ActionSpace | None
    """The agent's action space; None if the agent is no longer served."""


def read(client: Reader, episode_id: str) -> Recorded:
    """Reads one episode; raises EpisodeNotFound."""
    info = client.get_episode(episode_id)
    return Recorded(info, list(client.memory(episode_id, without_words=True)), space_in(client, info))


def frames_of(client: Reader, recorded: Recorded) -> Iterator[NDArray[np.uint8] | None]:
    """Yields the frame of each step, uint8 (height, width, 3), or None where none is recorded."""
    for step in recorded.steps:
        try:
            yield client.frame(recorded.info.episode_id, step.step)
        except (FrameNotRecorded, RecordingOff):
            yield None


def no_frames(recorded: Recorded) -> FrameNotRecorded:
    """Returns the error of an episode without a single frame."""
    return FrameNotRecorded(
        f"episode {recorded.info.episode_id} has no recorded frame",
        code=grpc.StatusCode.NOT_FOUND,
        reason="FRAME_NOT_RECORDED",
        advice=HOW_TO_RECORD,
    )


@contextmanager
def complete(path: Path) -> Iterator[Path]:
    """Gives another path to write to, in the same folder, which is made if missing; moves it to `path` at the end.

    What is written may be a folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        part.unlink(missing_ok=True)
