"""The structure of a PNG: what is kept for the decoder gives the pixels of the whole."""

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import PngImagePlugin
from support.malformed import chunk

from services.protocol.png_file import read_png

PICTURE = PillowImage.fromarray(np.random.default_rng(0).integers(256, size=(6, 8, 3), dtype=np.uint8))
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


def png(picture: PillowImage.Image = PICTURE, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **options)
    return buffer.getvalue()


def pixels(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(PillowImage.open(io.BytesIO(data)).convert("RGBA"))


@pytest.mark.parametrize("mode", MODES)
def test_the_pixels_of_every_mode_are_kept(mode: str) -> None:
    data = png(PICTURE.convert("L").convert(mode) if mode == "I;16" else PICTURE.convert(mode))
    read = read_png(data, 100)
    assert (read.width, read.height, read.exif) == (8, 6, b"")
    assert np.array_equal(pixels(read.data), pixels(data))


def test_transparency_of_a_palette_is_kept() -> None:
    data = png(PICTURE.convert("P"), transparency=3)
    assert np.array_equal(pixels(read_png(data, 100).data), pixels(data))


def test_what_a_decoder_need_not_read_is_left_out() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("a name", "x" * 1000, zip=True)
    data = png(pnginfo=text, icc_profile=b"p" * 1000, exif=b"Exif\0\0II*\0")
    read = read_png(data, 100)
    assert read.data == png()
    assert read.exif == b"II*\0"


def test_pixels_in_many_chunks_are_read() -> None:
    data = png()
    content = data[41:-16]
    parts = b"".join(chunk(b"IDAT", content[i : i + 1]) for i in range(len(content)))
    assert np.array_equal(pixels(read_png(data[:33] + parts + data[-12:], 400).data), pixels(data))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "it does not begin like one"),
        (b"GIF89a", "it does not begin like one"),
        (png()[:-1], "it is truncated"),
        (png()[:-12], "it is truncated"),
        (png()[:20], "it is truncated"),
        (png()[:8] + png()[33:], "its header is not its one first chunk"),
        (png()[:33] + png()[8:], "its header is not its one first chunk"),
        (png()[:50] + bytes([png()[50] ^ 1]) + png()[51:], "the checksum of its chunk b'IDAT' is wrong"),
        (png()[:33] + chunk(b"acTL", bytes(8)) + png()[33:], "it is animated"),
        (png()[:33] + chunk(b"ABCD", b"") + png()[33:], "its chunk b'ABCD' is unknown"),
        (png()[:8] + chunk(b"IHDR", bytes(12)) + png()[33:], "its header is not one of 13 bytes"),
        (png()[:33] + chunk(b"teXt", b"") * 100 + png()[33:], "it has more than 100 chunks"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_png(data, 100)
