"""What environments and loops hand over, converted once: frames, rewards, flags, infos; and actions the other way.

Contract: numpy arrays pass unchanged. Anything that can become one does: tensors of torch (on any device), arrays of JAX,
LazyFrames, PIL images, lists. A frame comes out as an array (height, width, 3): frames whose channels come first are turned
where only that reading is possible. Failure policy: what has no single meaning raises InvalidArgument, which says what was
expected and what was given, before anything is sent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shelm.errors import FieldViolation, InvalidArgument
from shelm.results import Action

CHANNELS = 3
FRAME_KEYS = ("image", "obs", "pixels")
"""The entries of a mapping that may hold its frame, in the order in which they are tried."""

AnyArray = NDArray[Any]


def invalid(field: str, text: str) -> InvalidArgument:
    """Returns the error for a value that cannot be meant."""
    return InvalidArgument(f"{field}: {text}", reason="INVALID_FIELD", field_violations=[FieldViolation(field, text)])


def as_array(value: Any) -> AnyArray:
    """Returns the value as a numpy array, without copying where that is possible; objects without numbers become objects."""
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "detach"):  # torch: a tensor with a gradient, or on a GPU, does not become an array by itself
        value = value.detach().cpu()
    try:
        return np.asarray(value)
    except ValueError:  # a list whose parts differ in shape
        return np.asarray(value, dtype=object)


def frame_of(observation: Any) -> Any:
    """Returns the frame, or the batch of frames, in an observation: the observation itself, or an entry of a mapping.

    The entry is "image", "obs" or "pixels", or else the only one that holds frames; raises InvalidArgument, which names the
    entries that there are, if there is none or the choice is open.
    """
    if not isinstance(observation, Mapping):
        return observation
    for key in FRAME_KEYS:
        if key in observation:
            return frame_of(observation[key])
    found = [value for value in observation.values() if _holds_frames(value)]
    if len(found) == 1:
        return found[0]
    keys = ", ".join(map(repr, observation)) or "none"
    raise invalid("observation", f"expected a frame under {_any_of(FRAME_KEYS)}, found the keys {keys}")


def as_frame(observation: Any) -> NDArray[np.uint8]:
    """Returns one frame as uint8 (height, width, 3); raises InvalidArgument."""
    array = as_array(observation)
    frame = _channels_last(array) if array.ndim == 3 else array
    if frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == CHANNELS and frame.size > 0:
        return frame
    expected = "expected a uint8 array of shape (height, width, 3)"
    raise invalid("observation", f"{expected}, given {_describe(observation, array)}{_advice(array)}")


def grey_as_rgb(observation: Any) -> Any:
    """Returns a grey frame, (height, width) or (height, width, 1), with its channel three times; others unchanged."""
    array = as_array(observation)
    if array.ndim == 2:
        array = array[:, :, None]
    return np.repeat(array, CHANNELS, axis=2) if array.ndim == 3 and array.shape[2] == 1 else observation


def as_frames(observation: Any) -> AnyArray:
    """Returns the frames (n, height, width, 3) of n environments, to be checked one by one; a single frame as (1, ...)."""
    array = as_array(frame_of(observation))
    if array.ndim not in (3, 4):
        expected = "expected frames of shape (height, width, 3) or (n, height, width, 3)"
        raise invalid("observation", f"{expected}, given {_describe(observation, array)}{_advice(array)}")
    return _channels_last(array if array.ndim == 4 else array[None])


def is_single(observation: Any) -> bool:
    """Whether an observation is that of one environment, not of a vector of them."""
    return bool(as_array(frame_of(observation)).ndim == 3)


def as_reward(value: Any) -> float:
    """Returns a reward as a float; raises InvalidArgument for anything but one finite number."""
    array = as_array(value)
    if array.size == 1 and array.dtype.kind in "biuf" and math.isfinite(number := float(array.reshape(()))):
        return number
    raise invalid("reward", f"expected one finite number, given {value!r}")


def as_flag(value: Any) -> bool:
    """Returns `terminated` or `truncated` as a bool; raises InvalidArgument for anything but one value."""
    return bool(as_flags(value, 1)[0])


def as_flags(values: Any, count: int) -> NDArray[np.bool_]:
    """Returns a flag for each of `count` environments, bool (count,); raises InvalidArgument for another number of them."""
    array = as_array(values)
    if array.size == count and array.dtype.kind in "biuf":
        return array.reshape(count).astype(bool)
    raise invalid("terminated, truncated", f"expected {count} of True or False, given {values!r}")


def as_info(value: Any) -> dict[Any, Any]:
    """Returns an info as a dict; None as an empty one, anything that is no mapping under "info"."""
    if value is None:
        return {}
    return dict(value) if isinstance(value, Mapping) else {"info": value}


def info_of(infos: Any, index: int, count: int) -> dict[Any, Any]:
    """Returns the info of environment `index` of `count`.

    gymnasium gives a dict of arrays (count, ...), of which the mask `_key` says who has an entry; others give a list of
    dicts. An entry that has no part for each environment, such as a text or one number, belongs to all of them.
    """
    if not isinstance(infos, Mapping):
        one = infos[index] if isinstance(infos, Sequence) and len(infos) == count else infos
        return as_info(one)
    masks = {mask: key for key in infos if isinstance(key, str) and _is_mask(infos.get(mask := f"_{key}"), count)}
    return {
        key: info_of(value, index, count) if isinstance(value, Mapping) else _part(value, index, count)
        for key, value in infos.items()
        if key not in masks and (not isinstance(key, str) or f"_{key}" not in masks or as_array(infos[f"_{key}"])[index])
    }


def stack(actions: Sequence[Action]) -> Any:
    """Returns the actions of n environments in the form that a vector environment expects.

    int64 (n,) for discrete actions, float32 (n, dimensions) for continuous ones, a dict of these for dicts.
    """
    first = actions[0]
    if isinstance(first, dict):
        return {name: np.stack([_named(action, name) for action in actions]) for name in first}
    return np.stack([np.asarray(action) for action in actions])


def _named(action: Action, name: str) -> Any:
    assert isinstance(action, dict), "one agent has one kind of action"
    return np.asarray(action[name])


def _is_mask(value: Any, count: int) -> bool:
    return value is not None and as_array(value).dtype == bool and as_array(value).shape == (count,)


def _part(value: Any, index: int, count: int) -> Any:
    if isinstance(value, (str, bytes)):
        return value
    if hasattr(value, "shape"):
        array = as_array(value)
        return array[index] if array.shape[:1] == (count,) else value
    return value[index] if isinstance(value, (list, tuple)) and len(value) == count else value


def _channels_last(array: AnyArray) -> AnyArray:
    """Returns frames (..., height, width, 3); those of another shape unchanged."""
    first = array.shape[-1] != CHANNELS and array.shape[-3] == CHANNELS
    return np.moveaxis(array, -3, -1) if first else array


def _holds_frames(value: Any) -> bool:
    if isinstance(value, (Mapping, str, bytes)):
        return False
    array = as_array(value)
    return array.dtype == np.uint8 and array.ndim in (3, 4) and CHANNELS in (array.shape[-1], array.shape[-3])


def _describe(observation: Any, array: AnyArray) -> str:
    if isinstance(observation, Mapping):
        return f"a mapping with the keys {', '.join(map(repr, observation))}"
    if array.dtype.kind in "OUS" or observation is None:
        return f"a {type(observation).__name__}"
    return f"a {array.dtype} array of shape {array.shape}"


def _advice(array: AnyArray) -> str:
    """Returns what the usual mistakes call for."""
    if array.dtype.kind == "f":
        return "; give the pixels as uint8, 0..255"
    stacked = array.ndim >= 3 and array.shape[-1] != CHANNELS and (array.shape[-1] % CHANNELS == 0 or array.ndim > 4)
    return "; stacked frames are not needed: the agent has a memory" if stacked or array.ndim > 3 else ""


def _any_of(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:-1])) + f" or {names[-1]!r}"
