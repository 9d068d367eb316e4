"""openpi's messages: MessagePack with arrays of numbers. Nothing that is received can run code."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from shelm.boundary import invalid
from shelm.errors import InvalidArgument
from shelm.results import Act

msgpack: Any = import_module("msgpack")

NUMBERS = "biuf"  # dtype kinds: bool, signed, unsigned, float


def pack(message: Mapping[str, Any]) -> bytes:
    """Returns a message; arrays may be among its values."""
    return bytes(msgpack.packb(message, default=_pack_array))


def unpack(data: str | bytes) -> Mapping[str, Any]:
    """Returns the observation in a message; raises InvalidArgument for anything else."""
    try:
        observation = msgpack.unpackb(data, object_hook=_unpack_array)
    except Exception as error:  # msgpack and numpy raise many kinds
        raise InvalidArgument(f"expected a MessagePack map with arrays of numbers: {error}") from None
    if isinstance(observation, dict):
        return observation
    raise invalid("observation", f"expected a map, given a {type(observation).__name__}")


def answer_of(act: Act) -> dict[str, Any]:
    """Returns the answer to an observation."""
    parts = {name: np.asarray(part)[None] for name, part in act.action.items()} if isinstance(act.action, dict) else None
    return {
        "actions": np.asarray(act.action)[None] if parts is None else parts,
        "words": [token.text for token in act.tokens],
        "similarities": [token.similarity for token in act.tokens],
        "value": act.value,
        "episode_id": act.episode_id,
        "step": act.step,
    }


def _unpack_array(value: dict[Any, Any]) -> Any:
    if b"__ndarray__" not in value:
        return value[b"data"] if b"__npgeneric__" in value else value
    dtype = np.dtype(value[b"dtype"])
    if dtype.kind not in NUMBERS:
        raise ValueError(f"dtype {dtype} is no number")
    return np.frombuffer(value[b"data"], dtype).reshape(value[b"shape"])


def _pack_array(value: np.ndarray[Any, Any]) -> dict[bytes, Any]:
    return {b"__ndarray__": True, b"data": value.tobytes(), b"dtype": value.dtype.str, b"shape": value.shape}
