"""The orientation in a picture's Exif block: how a viewer must turn the pixels.

Contract: `orientation` never raises and does bounded work: a block that is damaged, or says nothing, means 1 (as it is), as
viewers take it. Only the first directory's tag 0x0112 is read (Exif 2.32, section 4.6.4).
"""

import struct

import numpy as np

from agent.frame import Frame

_TAG, _SHORT = 0x0112, 3
_MOST_ENTRIES = 512  # of the first directory; the standard knows about fifty


def orientation(block: bytes) -> int:
    """Returns 1 .. 8 for a block that begins with a TIFF header."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None or len(block) < 8:
        return 1
    (begin,) = struct.unpack_from(order + "I", block, 4)
    if begin + 2 > len(block):
        return 1
    (entries,) = struct.unpack_from(order + "H", block, begin)
    for number in range(min(entries, _MOST_ENTRIES)):
        place = begin + 2 + 12 * number
        if place + 12 > len(block):
            break
        tag, kind, count, value = struct.unpack_from(order + "HHIH", block, place)
        if tag == _TAG:
            return value if kind == _SHORT and count == 1 and 1 <= value <= 8 else 1
    return 1


def turned_size(width: int, height: int, turn: int) -> tuple[int, int]:
    """Returns (width, height) after a turn by `orientation`."""
    return (height, width) if turn > 4 else (width, height)


def turned(frame: Frame, turn: int) -> Frame:
    """Turns pixels (height, width, 3) the way up that an orientation 1 .. 8 says."""
    if turn > 4:  # 5 .. 8: rows are columns
        frame = frame.transpose(1, 0, 2)
    if turn in (3, 4, 7, 8):
        frame = frame[::-1]
    if turn in (2, 3, 6, 7):
        frame = frame[:, ::-1]
    return np.ascontiguousarray(frame)
