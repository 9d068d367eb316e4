"""Surface: the bytes of image files.

`inputs(seed, n)` mutates real files; `check(data)` decodes as PNG and as JPEG. What must hold: a frame of the agent's size,
or `InvalidFrame`; any other error is a failure.
"""

import contextlib
import io
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from services.protocol.image import InvalidFrame, decode_frame
from services.protocol.values import EncodedImage

SIDE = 56


def inputs(seed: int, n: int) -> Iterator[bytes]:
    """Yields n damaged files; the same seed gives the same files."""
    choose = np.random.default_rng(seed)
    files = _files(choose)
    for _ in range(n):
        data = bytearray(files[choose.integers(len(files))])
        for _ in range(choose.integers(1, 6)):
            at, length = int(choose.integers(len(data) + 1)), int(choose.integers(1, 40))
            kind = choose.integers(4)
            if kind == 0:
                data[at : at + 1] = choose.bytes(1)
            elif kind == 1:
                del data[at : at + length]
            elif kind == 2:
                data[at:at] = data[at : at + length] * int(choose.integers(1, 20))
            else:
                other = files[choose.integers(len(files))]
                data[at : at + length] = other[at : at + length]
        yield _with_checksums(bytes(data)) if choose.integers(2) else bytes(data)


def check(data: bytes) -> bool:
    """Decodes one input; returns whether it gave a frame. Raises whatever must not happen."""
    decoded = False
    for kind in ("PNG", "JPEG"):
        with contextlib.suppress(InvalidFrame):
            frame = decode_frame(EncodedImage(kind, 0, 0, data), height=SIDE, width=SIDE)
            assert frame.shape == (SIDE, SIDE, 3)
            assert frame.dtype == np.uint8
            decoded = True
    return decoded


def _with_checksums(data: bytes) -> bytes:
    """Makes a PNG's checksums right, as far as its chunks can be told apart: so that the decoder sees the damage."""
    out, place = bytearray(data), 8
    while data.startswith(b"\x89PNG") and place + 12 <= len(out):
        end = place + 12 + int.from_bytes(out[place : place + 4])
        if end > len(out):
            break
        out[end - 4 : end] = zlib.crc32(out[place + 4 : end - 4]).to_bytes(4)
        place = end
    return bytes(out)


def _files(choose: np.random.Generator) -> list[bytes]:
    noise = choose.integers(256, size=(SIDE, SIDE, 3), dtype=np.uint8)
    plain = np.kron(noise[:7, :7], np.ones((8, 8, 1), np.uint8))
    found = []
    for pixels in (noise, plain):
        for mode in ("RGB", "L", "P", "RGBA", "1", "I;16"):
            picture = Image.fromarray(pixels).convert("L" if mode == "I;16" else mode).convert(mode)
            found.append(_saved(picture, "PNG"))
            if mode in ("RGB", "L"):
                found += [_saved(picture, "JPEG"), _saved(picture, "JPEG", progressive=True)]
    return found


def _saved(picture: Image.Image, kind: str, **options: bool) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()
