"""The structure of a JPEG: what is kept for the decoder gives the pixels of the whole."""

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage

from services.protocol.jpeg_file import MOST_SCANS, read_jpeg

PICTURE = PillowImage.fromarray(np.random.default_rng(0).integers(256, size=(24, 40, 3), dtype=np.uint8))
WAYS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "optimised": {"optimize": True},
    "progressive": {"progressive": True},
    "full quality": {"quality": 100, "subsampling": 0},
    "restarts": {"restart_marker_rows": 1},
    "kept as RGB": {"keep_rgb": True},
}


def jpeg(picture: PillowImage.Image = PICTURE, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def pixels(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(PillowImage.open(io.BytesIO(data), formats=["JPEG"]).convert("RGB"))


@pytest.mark.parametrize("way", WAYS)
def test_the_pixels_of_every_way_of_coding_are_kept(way: str) -> None:
    data = jpeg(**WAYS[way])
    read = read_jpeg(data, 100)
    assert (read.width, read.height, read.exif) == (40, 24, b"")
    assert np.array_equal(pixels(read.data), pixels(data))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_the_pixels_of_other_colours_are_kept(mode: str) -> None:
    data = jpeg(PICTURE.convert(mode))
    assert np.array_equal(pixels(read_jpeg(data, 100).data), pixels(data))


def test_what_a_decoder_need_not_read_is_left_out() -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    data = jpeg(icc_profile=b"p" * 1000, exif=exif, comment=b"a comment")
    filled = data[:2] + b"\xff" * 1000 + data[2:] + b"behind the end"
    read = read_jpeg(filled, 100)
    assert read.data == read_jpeg(jpeg(), 100).data
    assert read.exif.startswith((b"II", b"MM"))


def first_frame(kind: int) -> bytes:
    data = jpeg()
    place = data.index(b"\xff\xc0")
    return data[: place + 1] + bytes([kind]) + data[place + 2 :]


def twelve_bits() -> bytes:
    data = bytearray(jpeg())
    data[data.index(b"\xff\xc0") + 4] = 12
    return bytes(data)


def scans(count: int) -> bytes:
    data = jpeg(progressive=True)
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * count + data[-2:]


FRAME = jpeg()[jpeg().index(b"\xff\xc0") :][:19]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "it does not begin like one"),
        (b"\x89PNG", "it does not begin like one"),
        (jpeg()[:-2], "it is truncated"),
        (jpeg()[:10], "it is truncated, or damaged"),
        (b"\xff\xd8\xff\xd9", "it has no picture"),
        (b"\xff\xd8" + FRAME + b"\xff\xd9", "it has no picture"),
        (b"\xff\xd8" + jpeg(), "damaged between two segments"),
        (b"\xff\xd8\xff\xfe\0\1" + jpeg()[2:], "damaged between two segments"),
        (jpeg()[:2] + b"x" + jpeg()[2:], "damaged between two segments"),
        (jpeg()[:2] + FRAME + jpeg()[2:], "more than one picture"),
        (first_frame(0xC3), "neither baseline nor progressive"),
        (first_frame(0xC9), "neither baseline nor progressive"),
        (twelve_bits(), "no 8 bits per channel"),
        (scans(MOST_SCANS), f"more than {MOST_SCANS} scans"),
        (jpeg()[:2] + b"\xff\xfe\0\2" * 100 + jpeg()[2:], "more than 100 segments"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_jpeg(data, 100)
