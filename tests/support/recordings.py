"""Recorded frames, which a server writes a moment after it has answered."""

from shelm import Client
from shelm.errors import FrameNotRecorded


def recorded(client: Client, episode_id: str, step: int) -> bool:
    """Whether the frame of a step can be read."""
    try:
        return client.frame(episode_id, step).size > 0
    except FrameNotRecorded:
        return False
