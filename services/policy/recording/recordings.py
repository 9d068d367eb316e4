"""`Recordings`: frames as PNG files, EPISODE/STEP.png below the place that SHELM_RECORD names.

Contract: the pixels of a file are the frame's. Blocking: for threads. Failure policy: as `services.policy.places`; a missing
or unreadable recording is None.
"""

import io
import logging
import re
from dataclasses import dataclass

import numpy as np
from PIL import Image

from agent.frame import Frame
from services.policy.places import Place, folder_of

log = logging.getLogger(__name__)
_OURS = re.compile(r"[^/]+/\d+\.png(\.part)?")


@dataclass(frozen=True)
class Recorded:
    """A recorded frame, and the file that it was read from."""

    frame: Frame
    png: bytes


class Recordings:
    """The recordings at one place; see `services.policy.places.check_place`."""

    def __init__(self, place: str) -> None:
        self._place = Place(place)

    def write(self, episode_id: str, step: int, frame: Frame) -> int:
        """Records a frame, uint8 (height, width, 3); returns the bytes that it takes."""
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, "PNG")
        png = buffer.getvalue()
        self._place.write(_path(episode_id, step), png)
        return self._place.room(len(png))

    def read(self, episode_id: str, step: int) -> Recorded | None:
        """A recorded frame."""
        png = self._place.read(_path(episode_id, step))
        frame = None if png is None else _decode(png)
        return None if png is None or frame is None else Recorded(frame, png)

    def sweep(self, before: float, most_bytes: int | None = None) -> tuple[int, int]:
        """Deletes what was recorded before a time (seconds since 1970), then the oldest of the rest until no more than
        `most_bytes` are left, and nothing else; returns how many frames it has deleted, and the bytes that are left.
        """
        files = self._place.files().items()
        ours = sorted((written, size, path) for path, (written, size) in files if _OURS.fullmatch(path))
        left, removed = sum(size for _, size, _ in ours), 0
        for written, size, path in ours:
            if written >= before and (most_bytes is None or left <= most_bytes):
                break
            self._place.remove(path)
            left, removed = left - size, removed + 1
        return removed, left

    def delete(self, episode_id: str) -> int:
        """Deletes the frames of an episode; returns how many."""
        folder = folder_of(episode_id)
        found = [path for name in self._place.names(folder) if _OURS.fullmatch(path := f"{folder}/{name}")]
        return sum(self._place.remove(path) for path in found)


def _path(episode_id: str, step: int) -> str:
    return f"{folder_of(episode_id)}/{step}.png"


def _decode(png: bytes) -> Frame | None:
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as file:
            return np.asarray(file.convert("RGB"))
    except Exception as error:  # Pillow raises many kinds
        log.warning("a recorded file of %d bytes is no whole PNG: %s", len(png), error)
        return None
