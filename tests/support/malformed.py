"""Malformed Acts: some thirty kinds, each made anew from a seeded generator, with the status that each must get."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import grpc
import numpy as np
from PIL import Image as PillowImage
from shelm.v1 import agent_pb2

from support.errors import Code
from support.frames import Frame, file_bytes, jpeg, png, raw
from support.gateway import act_request

RAW, PNG, JPEG = agent_pb2.ENCODING_RAW_RGB8, agent_pb2.ENCODING_PNG, agent_pb2.ENCODING_JPEG
ENCODINGS = (RAW, PNG, JPEG)
Image = agent_pb2.Image
Request = agent_pb2.ActRequest


@dataclass(frozen=True)
class Setting:
    """What a kind of malformed request is made from."""

    choose: np.random.Generator
    frame: Frame
    fresh: str  # an episode_id that nobody uses
    running: str  # an episode with two steps

    def number(self, low: int, high: int) -> int:
        """low .. high - 1."""
        return int(self.choose.integers(low, high))

    def bytes(self, count: int) -> bytes:
        """Random bytes."""
        return self.choose.bytes(count)

    def act(self, image: Image) -> Request:
        """Step 0 with this image."""
        return Request(episode_id=self.fresh, observation=image)


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(side: int) -> bytes:
    """A small PNG file that declares side x side pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(10_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def no_image(of: Setting) -> Request:
    return Request(episode_id=of.fresh)


def empty_image(of: Setting) -> Request:
    return of.act(Image())


def empty_name(of: Setting) -> Request:
    return Request(step=of.number(0, 9), observation=raw(of.frame))


def long_name(of: Setting) -> Request:
    return act_request("x" * (129 + of.number(0, 2) * of.number(0, 100_000)), 0, of.frame)


def bad_characters(of: Setting) -> Request:
    bad = " /{}*\n\0é\U0001f600%"[of.number(0, 10)]
    return act_request(f"{of.fresh[:100]}{bad}x", 0, of.frame)


def no_encoding(of: Setting) -> Request:
    return of.act(Image(height=56, width=56, data=of.frame.tobytes()))


def unknown_encoding(of: Setting) -> Request:
    image = raw(of.frame)
    image.MergeFromString(b"\x08" + varint(of.number(4, 2**31)))
    return of.act(image)


def varint(value: int) -> bytes:
    """A number as protobuf writes it."""
    parts = []
    while value > 127:
        parts.append(value % 128 + 128)
        value //= 128
    return bytes([*parts, value])


def one_byte_short(of: Setting) -> Request:
    image = raw(of.frame)
    image.data = image.data[: -of.number(1, 4)]
    return of.act(image)


def bytes_too_many(of: Setting) -> Request:
    image = raw(of.frame)
    image.data += of.bytes(of.number(1, 100_000))
    return of.act(image)


def no_bytes(of: Setting) -> Request:
    return of.act(Image(encoding=ENCODINGS[of.number(0, 3)], height=56, width=56))


def zero_height(of: Setting) -> Request:
    image = raw(of.frame)
    image.height = 0
    return of.act(image)


def zero_width(of: Setting) -> Request:
    image = raw(of.frame)
    image.width = 0
    return of.act(image)


def other_height(of: Setting) -> Request:
    image = raw(of.frame)
    image.height = of.number(57, 2**32)
    return of.act(image)


def other_size(of: Setting) -> Request:
    height = of.number(1, 56)
    data = of.bytes(height * 56 * 3)
    return of.act(Image(encoding=RAW, height=height, width=56, data=data))


def truncated_png(of: Setting) -> Request:
    data = file_bytes(of.frame, "PNG")
    return of.act(Image(encoding=PNG, data=data[: of.number(1, len(data) * 3 // 4)]))


def damaged_png(of: Setting) -> Request:
    noise = np.frombuffer(of.bytes(56 * 56 * 3), np.uint8).reshape(56, 56, 3)
    data = bytearray(file_bytes(noise, "PNG"))
    at = of.number(100, len(data) - 100)  # in the pixels, which have a checksum
    data[at] ^= of.number(1, 256)
    return of.act(Image(encoding=PNG, data=bytes(data)))


def decompression_bomb(of: Setting) -> Request:
    return of.act(Image(encoding=PNG, data=bomb((20_000, 10_000, 30_000, 65_535)[of.number(0, 4)])))


def png_of_another_size(of: Setting) -> Request:
    side = of.number(1, 56)
    return of.act(png(np.zeros((side, 56, 3), np.uint8)))


def png_that_disagrees(of: Setting) -> Request:
    image = png(of.frame)
    image.height, image.width = 56, of.number(57, 1000)
    return of.act(image)


def jpeg_called_png(of: Setting) -> Request:
    return of.act(Image(encoding=PNG, data=jpeg(of.frame).data))


def png_called_jpeg(of: Setting) -> Request:
    return of.act(Image(encoding=JPEG, data=png(of.frame).data))


def gif_called_png(of: Setting) -> Request:
    buffer = io.BytesIO()
    PillowImage.fromarray(of.frame).save(buffer, "GIF")
    return of.act(Image(encoding=PNG, data=buffer.getvalue()))


def truncated_jpeg(of: Setting) -> Request:
    data = jpeg(of.frame).data
    return of.act(Image(encoding=JPEG, data=data[: of.number(1, len(data) // 2)]))


def garbage(of: Setting) -> Request:
    return of.act(Image(encoding=ENCODINGS[of.number(1, 3)], data=of.bytes(of.number(1, 5000))))


def huge_step(of: Setting) -> Request:
    return act_request(of.running, 2**64 - of.number(1, 1000), of.frame)


def step_gap(of: Setting) -> Request:
    return act_request(of.running, of.number(3, 2**53), of.frame)


def unknown_episode(of: Setting) -> Request:
    return act_request(of.fresh, of.number(1, 2**53), of.frame)


def another_frame(of: Setting) -> Request:
    noise = np.frombuffer(of.bytes(56 * 56 * 3), np.uint8).reshape(56, 56, 3)
    return act_request(of.running, of.number(0, 2), noise)


def unknown_agent(of: Setting) -> Request:
    return act_request(of.fresh, 0, of.frame, agent="x" * of.number(1, 50_000))


def another_agent(of: Setting) -> Request:
    return act_request(of.running, of.number(0, 3), of.frame, agent="y" * of.number(1, 50_000))


BAD_FILES = (
    *(truncated_png, damaged_png, decompression_bomb, png_of_another_size, jpeg_called_png, png_called_jpeg),
    *(gif_called_png, truncated_jpeg, garbage),
)
# Kind -> code, reason and, for INVALID_ARGUMENT, the fields that may be named.
KINDS: dict[Callable[[Setting], Request], tuple[grpc.StatusCode, str, set[str]]] = {
    **dict.fromkeys([empty_name, long_name, bad_characters], (Code.INVALID_ARGUMENT, "INVALID_FIELD", {"episode_id"})),
    no_image: (Code.INVALID_ARGUMENT, "INVALID_FIELD", {"observation"}),
    **dict.fromkeys(
        [empty_image, no_encoding, unknown_encoding], (Code.INVALID_ARGUMENT, "INVALID_FIELD", {"observation.encoding"})
    ),
    **dict.fromkeys(
        [one_byte_short, bytes_too_many, no_bytes], (Code.INVALID_ARGUMENT, "INVALID_FIELD", {"observation.data"})
    ),
    **dict.fromkeys(BAD_FILES, (Code.INVALID_ARGUMENT, "INVALID_FIELD", {"observation.data"})),
    **dict.fromkeys(
        [zero_height, other_height, other_size], (Code.INVALID_ARGUMENT, "INVALID_FIELD", {"observation.height"})
    ),
    **dict.fromkeys([zero_width, png_that_disagrees], (Code.INVALID_ARGUMENT, "INVALID_FIELD", {"observation.width"})),
    huge_step: (Code.INVALID_ARGUMENT, "INVALID_FIELD", {"step"}),
    step_gap: (Code.FAILED_PRECONDITION, "STEP_GAP", set()),
    unknown_episode: (Code.NOT_FOUND, "EPISODE_NOT_FOUND", set()),
    another_frame: (Code.ABORTED, "STEP_CONFLICT", set()),
    unknown_agent: (Code.NOT_FOUND, "AGENT_NOT_FOUND", {"agent"}),
    another_agent: (Code.FAILED_PRECONDITION, "AGENT_MISMATCH", set()),
}
