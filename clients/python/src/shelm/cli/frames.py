"""`shelm frames`: the recorded frames of an episode as PNG files, `<step>.png`. A JSON line has step and file."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from shelm.cli.errors import CommandError
from shelm.cli.terminal import line_of_json
from shelm.client import Client


def frames(client: Client, arguments: argparse.Namespace) -> None:
    """Saves one file per committed step; fails at the first step that was not recorded."""
    folder = Path(arguments.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for step in client.memory(arguments.episode):
            file = folder / f"{step.step:06d}.png"
            Image.fromarray(client.frame(arguments.episode, step.step)).save(file)
            if arguments.json:
                line_of_json({"step": step.step, "file": str(file)})
            else:
                print(file, flush=True)
    except BrokenPipeError:  # of the standard output, not of a file
        raise
    except OSError as error:
        raise CommandError(f"--out {folder}: {error.strerror}; choose a folder that can be written") from None


def frame_in(path: str) -> NDArray[np.uint8]:
    """Returns the frame in a PNG file, uint8 (height, width, 3), for the option --frame."""
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"), np.uint8)
    except (OSError, UnidentifiedImageError) as error:
        raise CommandError(f"--frame {path}: {error}; expected a PNG file of the frame") from None
