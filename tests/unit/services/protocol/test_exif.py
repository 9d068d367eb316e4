"""The orientation in an Exif block."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from services.protocol.exif import orientation


def block(turn: int, order: str = "<", kind: int = 3, count: int = 1) -> bytes:
    header = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8)
    other = struct.pack(order + "HHII", 0x0100, 4, 1, 640)
    return header + struct.pack(order + "H", 2) + other + struct.pack(order + "HHIHH", 0x0112, kind, count, turn, 0)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_both_byte_orders_are_read(order: str, turn: int) -> None:
    assert orientation(block(turn, order)) == turn


def test_a_block_of_pillow_is_read() -> None:
    exif = PillowImage.Exif()
    exif[0x0110], exif[0x0112] = "a camera", 6
    assert orientation(exif.tobytes().removeprefix(b"Exif\0\0")) == 6


@pytest.mark.parametrize("data", [b"", b"II*\0", block(6)[:-4], block(0), block(9), block(6, kind=2), block(6, count=2)])
def test_a_damaged_block_means_as_it_is(data: bytes) -> None:
    assert orientation(data) == 1


@given(st.binary(max_size=200).map(lambda data: block(6)[:8] + data))
def test_no_block_raises(data: bytes) -> None:
    assert 1 <= orientation(data) <= 8
