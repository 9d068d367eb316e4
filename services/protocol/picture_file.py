"""What is known of a PNG or JPEG file before it is decoded, and how large such a file may be."""

from dataclasses import dataclass

# A file of noise that cannot be compressed is at most 1.36 times its raw pixels as PNG (with alpha), and 1.75 times as JPEG
# (quality 100, no subsampling; frames of 8x8 and more). Names, profiles and Exif blocks come on top.
_TIMES, _HEADERS = 2, 65_536


@dataclass(frozen=True, slots=True)
class PictureFile:
    """width, height: in pixels, as they are stored. exif: its block, from the TIFF header on, or empty. data: the same
    picture as a file without what a decoder need not read.
    """

    width: int
    height: int
    exif: bytes
    data: bytes


def largest_file(height: int, width: int) -> int:
    """Returns how many bytes a file of one frame may have: twice its raw pixels, and 64 KiB."""
    return _TIMES * height * width * 3 + _HEADERS


def most_parts(height: int) -> int:
    """Returns how many chunks or segments a file of one frame may have: some encoders write one for each row."""
    return height + 256
