"""Reads the structure of a PNG file before any decoder sees it.

Contract: `read_png` returns the size, and the same picture without what a decoder need not read: text, colour profiles,
times, animation controls. The work is proportional to the bytes and to `most_parts`: a file with more chunks is refused, so
that millions of empty ones cost nothing. Checksums are verified, here alone: the decoder leaves those of the pixels out.

Failure policy: ValueError says what is wrong with the file, in the words that go behind "it cannot be decoded:".
"""

import struct
import zlib

from services.protocol.picture_file import PictureFile

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = (b"PLTE", b"tRNS", b"IDAT")  # beside the header and the end


def read_png(data: bytes, most_parts: int) -> PictureFile:
    """Reads a PNG of at most `most_parts` chunks."""
    if not data.startswith(_SIGNATURE):
        raise ValueError("it does not begin like one")
    kept, exif, width, height = [_SIGNATURE], b"", 0, 0
    place = len(_SIGNATURE)
    for number in range(most_parts):
        kind, content, end = _chunk(data, place)
        if (number == 0) != (kind == b"IHDR"):
            raise ValueError("its header is not its one first chunk")
        if kind == b"IHDR":
            width, height = _size(content)
        elif kind == b"acTL":
            raise ValueError("it is animated")
        elif kind == b"eXIf":
            exif = content
        elif kind[0] < 97 and kind not in _KEPT and kind != b"IEND":  # an upper-case letter: it must not be passed over
            raise ValueError(f"its chunk {kind!r} is unknown")
        if kind in (b"IHDR", b"IEND") or (kind in _KEPT and content):
            kept.append(data[place:end])
        if kind == b"IEND":
            return PictureFile(width, height, exif, b"".join(kept))
        place = end
    raise ValueError(f"it has more than {most_parts} chunks")


def _chunk(data: bytes, place: int) -> tuple[bytes, bytes, int]:
    """Returns the kind and content of the chunk at `place`, and where it ends."""
    if place + 12 > len(data):
        raise ValueError("it is truncated")
    length, kind = struct.unpack_from(">I4s", data, place)
    end = place + 12 + length
    if end > len(data):
        raise ValueError("it is truncated")
    if zlib.crc32(memoryview(data)[place + 4 : end - 4]) != int.from_bytes(data[end - 4 : end]):
        raise ValueError(f"the checksum of its chunk {kind!r} is wrong")
    return kind, data[place + 8 : end - 4], end


def _size(content: bytes) -> tuple[int, int]:
    if len(content) != 13:
        raise ValueError("its header is not one of 13 bytes")
    width, height = struct.unpack_from(">II", content)
    return width, height
