"""`Image` messages -> `EncodedImage` -> frames, uint8 (height, width, 3), and back.

Failure policy: an image that does not match its fields or the agent's frame size raises `InvalidFrame` with the field, what
was expected and what was given. Sizes are checked in the header before decoding, so a decompression bomb costs nothing.
"""

import io

import numpy as np
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError
from shelm.v1 import agent_pb2

from agent.frame import Frame
from services.protocol.values import EncodedImage

RAW = "RAW_RGB8"
FILES = ("PNG", "JPEG")
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


def _check_size(height: int, width: int, expected_height: int, expected_width: int) -> None:
    if height != expected_height:
        raise InvalidFrame("height", f"expected {expected_height}, got {height}")
    if width != expected_width:
        raise InvalidFrame("width", f"expected {expected_width}, got {width}")


def _decode_file(data: bytes, kind: str, height: int, width: int) -> Frame:
    if not data:
        raise InvalidFrame("data", f"expected a {kind} file, got 0 bytes")
    try:
        with PillowImage.open(io.BytesIO(data), formats=[kind]) as file:
            if file.size != (width, height):
                raise InvalidFrame(
                    "data", f"expected a {kind} of {width}x{height}, got one of {file.size[0]}x{file.size[1]}"
                )
            if file.mode.startswith("I"):  # Pillow would clip them to 255 rather than scale them
                raise InvalidFrame("data", f"expected a {kind} with 8 bits per channel, got one with 16")
            return np.asarray(file.convert("RGB"))
    except InvalidFrame:
        raise
    except UnidentifiedImageError:  # its own text names an object of this process
        raise InvalidFrame("data", f"expected a {kind} file, the {len(data)} bytes are none") from None
    except Exception as error:  # Pillow raises many kinds (OSError, SyntaxError, struct.error, DecompressionBombError, ...)
        raise InvalidFrame("data", f"expected a {kind} file of {len(data)} bytes, it cannot be decoded: {error}") from None
