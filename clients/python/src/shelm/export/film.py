"""An episode as a film, one picture for each step: GIF with Pillow, MP4 (H.264) with PyAV, the extra `video`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from shelm.client import Client
from shelm.export.painter import Painter
from shelm.export.recorded import Recorded, complete, frames_of, no_frames

QUALITY = {"crf": "18", "preset": "medium"}  # no loss that one sees


def write_gif(client: Client, episode: Recorded, path: Path, *, fps: int) -> None:
    """Writes a GIF of `fps` steps a second that repeats; raises FrameNotRecorded if no frame is recorded."""
    film = pictures(client, episode)
    first = next(film)
    with complete(path) as part:
        first.save(part, "GIF", save_all=True, append_images=film, duration=round(1000 / fps), loop=0)


def write_mp4(client: Client, episode: Recorded, path: Path, *, fps: int) -> None:
    """Writes an MP4 of `fps` steps a second; raises FrameNotRecorded if no frame is recorded."""
    try:
        import av
    except ImportError:
        raise ModuleNotFoundError('PyAV is missing; pip install "shelm-client[video]"') from None
    film = pictures(client, episode)
    first = next(film)
    with complete(path) as part, av.open(str(part), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=fps, options=QUALITY)
        stream.width, stream.height = first.size
        stream.pix_fmt = "yuv420p"  # what every player shows
        for picture in chain([first], film):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")))
        container.mux(stream.encode())


def pictures(client: Client, episode: Recorded) -> Iterator[Image.Image]:
    """Yields one picture per step, all of one size; raises FrameNotRecorded if no frame is recorded."""
    frames, missing = frames_of(client, episode), 0
    for first in frames:
        if first is not None:
            break
        missing += 1
    else:
        raise no_frames(episode)
    painter = Painter(episode, *first.shape[:2])
    for index, frame in enumerate(chain([None] * missing, [first], frames)):
        yield painter.paint(index, frame)
