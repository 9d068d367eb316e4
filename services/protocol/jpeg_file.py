r"""Reads the structure of a JPEG file before any decoder sees it.

Contract: `read_jpeg` returns the size, and the same picture without what a decoder need not read: comments, profiles, Exif,
further pictures, bytes that fill. Baseline, extended and progressive files with Huffman codes are read. The work is
proportional to the bytes and to `most_parts`. A file with more segments is refused, and so is one with more scans than
`MOST_SCANS`, because each scan of a progressive file goes through all its pixels again.

Failure policy: ValueError says what is wrong with the file, in the words that go behind "it cannot be decoded:". JPEG has no
checksums: damage to the pixels gives other pixels.
"""

import re
from collections.abc import Iterator

from services.protocol.picture_file import PictureFile

MOST_SCANS = 32  # a progressive file has about ten
_MARKER = re.compile(rb"\xff+([\x01-\xfe])")
_AFTER_SCAN = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # neither a stuffed byte nor a restart
_FRAMES = range(0xC0, 0xD0)  # start of frame, but for the three kinds of segments among them:
_DHT, _JPG, _DAC = 0xC4, 0xC8, 0xCC
_COMPUTED = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive
_SOI, _EOI, _SOS, _COM, _APP0, _APP1, _APP14 = 0xD8, 0xD9, 0xDA, 0xFE, 0xE0, 0xE1, 0xEE
_ALONE = (0x01, *range(0xD0, 0xD8), _SOI)  # without a length; none of them belongs between segments
_EXIF = b"Exif\0\0"


def read_jpeg(data: bytes, most_parts: int) -> PictureFile:
    """Reads a JPEG of at most `most_parts` segments."""
    if not data.startswith(b"\xff\xd8"):
        raise ValueError("it does not begin like one")
    kept, exif, size, scans = [b"\xff\xd8"], b"", None, 0
    for marker, content, whole in _segments(data, most_parts):
        if marker in _FRAMES and marker not in (_DHT, _JPG, _DAC):
            if marker not in _COMPUTED or size is not None:
                raise ValueError("it is neither baseline nor progressive, or more than one picture")
            size = _size(content)
        elif marker == _SOS:
            scans += 1
            if scans > MOST_SCANS:
                raise ValueError(f"it has more than {MOST_SCANS} scans")
        elif marker == _APP1 and content.startswith(_EXIF):
            exif = exif or content[len(_EXIF) :]
        if marker in (_APP0, _APP14) or not (_APP0 <= marker < 0xF0 or marker == _COM):
            kept.append(whole)
    if size is None or not scans:
        raise ValueError("it has no picture")
    return PictureFile(*size, exif, b"".join([*kept, b"\xff\xd9"]))


def _segments(data: bytes, most_parts: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Yields marker, content, and all bytes without those that fill, of each segment up to the end of the picture; a scan's
    bytes include what it codes.
    """
    place = 2
    for _ in range(most_parts):
        found = _MARKER.match(data, place)
        if found is None:
            raise ValueError("it is truncated, or damaged between two segments")
        marker, begin = found[1][0], found.end()
        if marker == _EOI:
            return
        length = int.from_bytes(data[begin : begin + 2])
        end = begin + length
        if marker in _ALONE or length < 2 or end > len(data):
            raise ValueError("it is truncated, or damaged between two segments")
        content = data[begin + 2 : end]
        if marker == _SOS:
            after = _AFTER_SCAN.search(data, end)
            if after is None:
                raise ValueError("it is truncated")
            end = after.start()
        yield marker, content, b"\xff" + data[begin - 1 : end]
        place = end
    raise ValueError(f"it has more than {most_parts} segments")


def _size(content: bytes) -> tuple[int, int]:
    if len(content) < 6 or content[0] != 8:
        raise ValueError("its pixels have no 8 bits per channel")
    return int.from_bytes(content[3:5]), int.from_bytes(content[1:3])
