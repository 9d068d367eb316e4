"""The pictures of continuous recognition: Tux Paint's stamps, read from the installed package and never copied.

Contract: every captioned PNG that is not a letter or a symbol, one per caption, in the order of the paths, cut to its
visible part and drawn on white (on which it must be seen). The folder is `/usr/share/tuxpaint/stamps`, or the one that
`SHELM_STAMPS` names. Pictures are split by a digest of their names: agents and the small CLIP are trained on the first
part and meet the held-out part only in evaluation.
Failure policy: `PicturesMissingError` says what to install; a folder with too few pictures for an episode is a ValueError.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PACKAGE, SETTING = "tuxpaint-stamps-default", "SHELM_STAMPS"
FOLDER = Path("/usr/share/tuxpaint/stamps")
SIDE = 96  # pixels
MARGIN = 2
NEEDED = 60  # an episode may show as many new pictures
HELD_OUT = 0.3


class PicturesMissingError(FileNotFoundError):
    """The stamps are not installed."""


@dataclass(frozen=True, eq=False)
class Picture:
    """name: the caption's first sentence without article, lower case. pixels: uint8 (SIDE, SIDE, 3), on white."""

    name: str
    pixels: NDArray[np.uint8]


def stamps_folder() -> Path:
    """Returns the folder of the stamps; raises PicturesMissingError if there is none."""
    folder = Path(os.environ.get(SETTING) or FOLDER)
    if not folder.is_dir():
        text = f"no stamps in {folder}: install the Debian package {PACKAGE} or set {SETTING} to its folder of stamps"
        raise PicturesMissingError(text)
    return folder


@cache
def load_pictures(folder: Path) -> tuple[Picture, ...]:
    """Loads all pictures below `folder`; of several pictures with the same caption only the first."""
    named: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.png")):
        caption = path.with_suffix(".txt")
        if "symbols" not in path.relative_to(folder).parts and caption.is_file():
            named.setdefault(picture_name(caption.read_text(encoding="utf-8")), path)
    pictures = (Picture(name, draw(path)) for name, path in named.items() if name)
    return tuple(picture for picture in pictures if (picture.pixels < 240).any())


def picture_name(caption: str) -> str:
    """Returns the first sentence of the first line (the others are translations): "A brown hen." -> "brown hen"."""
    line = caption.partition("\n")[0].replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    sentence = re.split(r"[.!?(\N{EM DASH}]", re.sub(r"^\W+", "", line))[0]
    words = re.sub(r"[^a-z0-9' -]", " ", sentence.lower()).split()
    return " ".join(words[1:] if words[:1] in (["a"], ["an"], ["the"]) else words)


def draw(path: Path) -> NDArray[np.uint8]:
    """Draws the visible part of an image on white, as large as fits, uint8 (SIDE, SIDE, 3)."""
    with Image.open(path) as file:
        stamp = file.convert("RGBA")
    stamp = stamp.crop(stamp.getchannel("A").getbbox())
    scale = (SIDE - 2 * MARGIN) / max(stamp.size)
    stamp = stamp.resize((max(1, round(stamp.width * scale)), max(1, round(stamp.height * scale))), Image.Resampling.LANCZOS)
    canvas = Image.new("RGBA", (SIDE, SIDE), "white")
    canvas.alpha_composite(stamp, ((SIDE - stamp.width) // 2, (SIDE - stamp.height) // 2))
    return np.asarray(canvas.convert("RGB"))


def split_pictures(pictures: Sequence[Picture]) -> tuple[list[Picture], list[Picture]]:
    """Returns (training pictures, held-out pictures), always the same for the same pictures."""
    digests = [sha256(picture.name.encode()).digest() for picture in pictures]
    last = sorted(digests)[round(HELD_OUT * len(digests))]  # so that adding a picture hardly moves others
    held_out = [picture for picture, digest in zip(pictures, digests, strict=True) if digest < last]
    parts = [picture for picture, digest in zip(pictures, digests, strict=True) if digest >= last], held_out
    if any(len(part) < NEEDED for part in parts):
        sizes = [len(part) for part in parts]
        raise ValueError(f"pictures: an episode needs {NEEDED} in each part, training and held out, got {sizes}")
    return parts
