"""Converts frames to and from the protobuf message Image.

An invalid frame raises an error here, before anything is sent, of the same class that the server's error would have.
"""

from __future__ import annotations

import io
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from shelm.boundary import as_frame
from shelm.v1 import agent_pb2

Encoding = Literal["raw", "png"]


def encode(observation: Any, encoding: Encoding) -> agent_pb2.Image:
    """Returns the Image of a frame in RGB order, as `shelm.boundary.as_frame` takes it; raises InvalidArgument."""
    frame = as_frame(observation)
    height, width = frame.shape[:2]
    if encoding == "raw":
        return agent_pb2.Image(encoding=agent_pb2.ENCODING_RAW_RGB8, height=height, width=width, data=frame.tobytes())
    buffer = io.BytesIO()
    PillowImage.fromarray(np.ascontiguousarray(frame)).save(buffer, "PNG")
    return agent_pb2.Image(encoding=agent_pb2.ENCODING_PNG, height=height, width=width, data=buffer.getvalue())


def decode(image: agent_pb2.Image) -> NDArray[np.uint8]:
    """Returns the pixels of an Image as a uint8 array (height, width, 3) in RGB order."""
    if image.encoding == agent_pb2.ENCODING_RAW_RGB8:
        return np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3)
    with PillowImage.open(io.BytesIO(image.data), formats=["PNG", "JPEG"]) as picture:
        return np.asarray(picture.convert("RGB"), np.uint8)
