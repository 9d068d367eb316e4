"""Real MiniGrid frames, and the images that carry them.

Contract: `collect_frames` always gives the same frames, uint8 (56, 56, 3), all of them different.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from shelm.gym import minigrid_env
from shelm.v1 import agent_pb2

Frame = NDArray[np.uint8]  # (56, 56, 3)
MOST_STEPS = 20_000


def collect_frames(count: int) -> tuple[Frame, ...]:
    """The first `count` different frames of a random walk through MiniGrid-Memory."""
    found: dict[bytes, Frame] = {}
    choices = np.random.default_rng(0)
    env = minigrid_env("MiniGrid-MemoryS11-v0")
    done, seed = True, 0
    for _ in range(MOST_STEPS):
        if done:
            observation, _ = env.reset(seed=seed)
            done, seed = False, seed + 1
        else:
            observation, _, terminated, truncated, _ = env.step(int(choices.integers(3)))
            done = terminated or truncated
        frame = np.asarray(observation, np.uint8)
        found.setdefault(frame.tobytes(), frame)
        if len(found) == count:
            break
    env.close()
    assert len(found) == count, f"only {len(found)} different frames in {MOST_STEPS} steps"
    return tuple(found.values())


def raw(frame: Frame) -> agent_pb2.Image:
    """The frame as its pixels."""
    height, width, _ = frame.shape
    return agent_pb2.Image(encoding=agent_pb2.ENCODING_RAW_RGB8, height=height, width=width, data=frame.tobytes())


def png(frame: Frame) -> agent_pb2.Image:
    """The frame as a PNG file: the same pixels."""
    return agent_pb2.Image(encoding=agent_pb2.ENCODING_PNG, data=file_bytes(frame, "PNG"))


def jpeg(frame: Frame) -> agent_pb2.Image:
    """The frame as a JPEG file: nearly the same pixels."""
    return agent_pb2.Image(encoding=agent_pb2.ENCODING_JPEG, data=file_bytes(frame, "JPEG"))


def file_bytes(frame: Frame, kind: str) -> bytes:
    """The frame as an image file."""
    buffer = io.BytesIO()
    PillowImage.fromarray(frame).save(buffer, kind)
    return buffer.getvalue()
