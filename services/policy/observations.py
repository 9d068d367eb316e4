"""Decodes the observation of a request. Failure policy: INVALID_FIELD with the name of the field."""

import asyncio

from agent.bundle import ObservationPart
from agent.frame import Observation
from services.protocol.image import RAW, InvalidFrame, decode_frame
from services.protocol.values import EncodedImage
from services.runtime.errors import invalid


async def decode_observation(image: EncodedImage, size: ObservationPart) -> Observation:
    """Decodes an image to a frame of the agent's size, and computes its fingerprint."""
    if image.encoding == RAW:
        return _decode(image, size)
    # A compressed file takes milliseconds to decode, which the event loop must not spend.
    return await asyncio.to_thread(_decode, image, size)


def _decode(image: EncodedImage, size: ObservationPart) -> Observation:
    try:
        return Observation.of(decode_frame(image, height=size.height, width=size.width))
    except InvalidFrame as error:
        raise invalid(f"observation.{error.field}", str(error)) from None
