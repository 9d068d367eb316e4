"""What the adapters share: their options, and what they read and write.

That is JSON with the frame in base64, as both frameworks' documentation sends pictures.

Failure policy: a missing field raises KeyError, wrong base64 ValueError.
"""

import argparse
import base64
from typing import Any

import numpy as np

from agent.frame import Frame
from benchmarks.local_agent import Answer


def request(session: str, height: int, width: int, pixels: bytes) -> dict[str, Any]:
    """Returns what a client sends for one step of a session."""
    return {"session": session, "height": height, "width": width, "frame": base64.b64encode(pixels).decode()}


def read_request(body: dict[str, Any]) -> tuple[str, Frame]:
    """Returns session and frame uint8 (height, width, 3)."""
    pixels = np.frombuffer(base64.b64decode(body["frame"]), np.uint8)
    return body["session"], pixels.reshape(body["height"], body["width"], 3)


def answer(found: Answer) -> dict[str, Any]:
    """Returns what a server answers; the action must be discrete."""
    words = [{"text": word.text, "similarity": word.similarity, "id": word.row} for word in found.words]
    return {"action": found.action, "value": found.value, "words": words}


def server_options(description: str | None) -> argparse.Namespace:
    """Reads what every server is told on its command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--wait", type=float, default=0.0, help="seconds that a batch waits for more requests")
    return parser.parse_args()
