"""Decodes the observations of requests. Failure policy: INVALID_FIELD with the name of the field."""

import asyncio
from collections.abc import Sequence

from agent.bundle import ObservationPart, WordlessObservation
from agent.frame import Observation
from services.protocol.image import RAW, InvalidFrame, check_grey, decode_frame
from services.protocol.values import EncodedImage
from services.runtime.errors import ServiceError, invalid

Sized = tuple[EncodedImage, ObservationPart]  # an image, and the frame size of its agent


async def decode_observation(image: EncodedImage, size: ObservationPart) -> Observation:
    """Decodes an image to a frame of the agent's size, and computes its fingerprint."""
    (outcome,) = await decode_observations([(image, size)])
    if isinstance(outcome, ServiceError):
        raise outcome
    return outcome


async def decode_observations(images: Sequence[Sized]) -> list[Observation | ServiceError]:
    """Does the same with several images; a bad one has its error."""
    if all(image.encoding == RAW for image, _ in images):
        return _decode_all(images)
    # A compressed file takes milliseconds to decode, which the event loop must not spend.
    return await asyncio.to_thread(_decode_all, images)


def _decode_all(images: Sequence[Sized]) -> list[Observation | ServiceError]:
    return [_decode(*one) for one in images]


def _decode(image: EncodedImage, size: ObservationPart) -> Observation | ServiceError:
    try:
        frame = decode_frame(image, height=size.height, width=size.width)
        if isinstance(size, WordlessObservation) and size.channels == 1:
            check_grey(frame)
        return Observation.of(frame)
    except InvalidFrame as error:
        return invalid(f"observation.{error.field}", str(error))
