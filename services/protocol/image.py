"""`Image` messages -> `EncodedImage` -> frames, uint8 (height, width, 3), and back.

A file is shown the way up that its Exif orientation says, as viewers do, before its size is compared. Of 16 bits per channel
the upper 8 are taken, of grey as of colours; alpha is dropped; colour profiles are not applied.

Failure policy: an image that does not match its fields or the agent's frame size raises `InvalidFrame` with the field, what
was expected and what was given. The bytes of a file are bounded by the frame's size (`largest_file`), and its structure and
size are read before any decoder sees it, so neither a decompression bomb nor millions of empty parts cost anything.
"""

import io

import numpy as np
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError
from shelm.v1 import agent_pb2

from agent.frame import Frame
from services.protocol.exif import orientation, turned, turned_size
from services.protocol.jpeg_file import read_jpeg
from services.protocol.picture_file import largest_file, most_parts
from services.protocol.png_file import read_png
from services.protocol.values import EncodedImage

RAW = "RAW_RGB8"
FILES = {"PNG": read_png, "JPEG": read_jpeg}
_ENCODINGS = {
    agent_pb2.ENCODING_RAW_RGB8: RAW,
    agent_pb2.ENCODING_PNG: "PNG",
    agent_pb2.ENCODING_JPEG: "JPEG",
}


class InvalidFrame(ValueError):  # noqa: N818 - a name, not a kind, of error
    """A frame that cannot be used; `field` is relative to the Image message."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem)
        self.field = field


def read_image(image: agent_pb2.Image) -> EncodedImage:
    """Reads the fields of an Image; nothing is checked yet."""
    return EncodedImage(_ENCODINGS.get(image.encoding, image.encoding), image.height, image.width, image.data)


def raw_image(frame: Frame) -> agent_pb2.Image:
    """The Image of a frame, as raw pixels."""
    height, width, _ = frame.shape
    return agent_pb2.Image(encoding=agent_pb2.ENCODING_RAW_RGB8, height=height, width=width, data=frame.tobytes())


def decode_frame(image: EncodedImage, *, height: int, width: int) -> Frame:
    """Decodes to uint8 (height, width, 3), the size that the agent expects; raises InvalidFrame."""
    if image.encoding == RAW:
        _check_size(image.height, image.width, height, width)
        expected = height * width * 3
        if len(image.data) != expected:
            raise InvalidFrame("data", f"expected {expected} bytes ({height}x{width}x3), got {len(image.data)}")
        return np.frombuffer(image.data, np.uint8).reshape(height, width, 3)
    if image.encoding in FILES:
        if image.height or image.width:
            _check_size(image.height, image.width, height, width)
        return _decode_file(image.data, str(image.encoding), height, width)
    raise InvalidFrame("encoding", f"expected RAW_RGB8, PNG or JPEG, got {image.encoding}")


def check_grey(frame: Frame) -> None:
    """Raises InvalidFrame unless red, green and blue of each pixel are equal: what an agent expects that sees grey."""
    if (frame != frame[:, :, :1]).any():
        raise InvalidFrame("data", "expected grey pixels (red, green and blue equal), got colours")


def _check_size(height: int, width: int, expected_height: int, expected_width: int) -> None:
    if height != expected_height:
        raise InvalidFrame("height", f"expected {expected_height}, got {height}")
    if width != expected_width:
        raise InvalidFrame("width", f"expected {expected_width}, got {width}")


def _decode_file(data: bytes, kind: str, height: int, width: int) -> Frame:
    if not data:
        raise InvalidFrame("data", f"expected a {kind} file, got 0 bytes")
    most = largest_file(height, width)
    if len(data) > most:
        raise InvalidFrame("data", f"expected a {kind} of at most {most} bytes for {width}x{height}, got {len(data)}")
    try:
        file = FILES[kind](data, most_parts(height))
        turn = orientation(file.exif)
        size = turned_size(file.width, file.height, turn)
        if size != (width, height):
            raise InvalidFrame("data", f"expected a {kind} of {width}x{height}, got one of {size[0]}x{size[1]}")
        return turned(_pixels(file.data, kind), turn)
    except InvalidFrame:
        raise
    except Exception as error:  # Pillow raises many kinds (OSError, SyntaxError, struct.error, DecompressionBombError, ...)
        problem = "it is not whole" if isinstance(error, UnidentifiedImageError) else error  # whose text names an object
        raise InvalidFrame("data", f"expected a {kind} file of {len(data)} bytes, it cannot be decoded: {problem}") from None


def _pixels(data: bytes, kind: str) -> Frame:
    with PillowImage.open(io.BytesIO(data), formats=[kind]) as file:
        if file.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip to 255; of colours it takes the upper 8
            grey = (np.asarray(file) >> 8).astype(np.uint8)
            return np.stack([grey] * 3, axis=2)
        return np.asarray(file.convert("RGB"))
