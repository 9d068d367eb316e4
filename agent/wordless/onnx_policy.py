"""A policy in an ONNX file, run by onnxruntime on the CPU.

Contract: an ONNX file is data: operators that onnxruntime does not know are refused, and no library is loaded for them, and
all weights are inside the file. `OnnxPolicy` checks the file against the manifest when it is made, and takes two steps.
A model whose rows have a free size runs a whole batch at once; one that was exported for a single row, row by row.

Failure policy: ValueError names the file, the input or output, what was expected and what it has.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from agent.wordless.parts import OnnxPart
from agent.wordless.policy import Decided, Item

Array = NDArray[Any]
_PIXELS = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}


class OnnxPolicy:
    """Runs an ONNX file as `part` describes it.

    shape: (height, width, channels) of what the policy sees. row: numbers in a row of agent.policy.heads. threads: of a run.
    """

    def __init__(self, path: Path, part: OnnxPart, *, shape: tuple[int, int, int], row: int, threads: int = 1) -> None:
        self._path, self._part, self._shape, self._row = path, part, shape, row
        self._session = _session(path, threads)
        self._inputs = {one.name: one for one in self._session.get_inputs()}
        self._outputs = [*part.parameters, *([part.value] if part.value else []), *(one.output for one in part.state)]
        self._check_names()
        self._dtype, free = self._checked_frame()
        self._axes = [self._batch_axis(one.input) for one in part.state]  # None: the model has no free size there
        self._together = free and None not in self._axes
        self._state_shapes = [self._state_shape(one.input, axis) for one, axis in zip(part.state, self._axes, strict=True)]
        self._check_state_bytes()
        self._try()

    @property
    def state_bytes(self) -> int:
        """Bytes of a state: its arrays, one after the other."""
        return self._part.state_bytes

    def decide(self, items: Sequence[Item]) -> list[Decided | Exception]:
        """Runs the model, at once or row by row."""
        if self._together:
            return self._run(items)
        return [self._run([item])[0] for item in items]

    def _run(self, items: Sequence[Item]) -> list[Decided | Exception]:
        frames: Array = np.stack([frame for frame, _ in items])
        if self._part.layout == "CHW":
            frames = frames.transpose(0, 3, 1, 2)
        if self._dtype is np.float32:
            frames = frames.astype(np.float32) / np.float32(self._part.scale)
        feeds: dict[str, Array] = {self._part.frame: np.ascontiguousarray(frames)}
        for one, arrays, axis in zip(self._part.state, self._states(items), self._axes, strict=True):
            feeds[one.input] = arrays[0] if axis is None else np.concatenate(arrays, axis=axis)
        outputs = dict(zip(self._outputs, self._session.run(self._outputs, feeds), strict=True))
        rows = np.concatenate([outputs[name].reshape(len(items), -1) for name in self._part.parameters], axis=1)
        values = outputs[self._part.value].reshape(len(items)) if self._part.value else np.zeros(len(items))
        states = self._next_states(outputs, len(items))
        found = zip(rows.astype(np.float32), values.tolist(), states, strict=True)
        return [self._decided(row, float(value), state) for row, value, state in found]

    def _states(self, items: Sequence[Item]) -> list[list[Array]]:
        """For each array of the state, that of each item; zeros before the first step."""
        found: list[list[Array]] = []
        at = 0
        for shape in self._state_shapes:
            size = int(np.prod(shape))
            found.append(
                [
                    np.frombuffer(state, np.float32, size, at).reshape(shape) if state else np.zeros(shape, np.float32)
                    for _, state in items
                ]
            )
            at += 4 * size
        return found

    def _next_states(self, outputs: dict[str, Array], count: int) -> list[bytes]:
        states = [b""] * count
        for one, axis, shape in zip(self._part.state, self._axes, self._state_shapes, strict=True):
            array = outputs[one.output].astype(np.float32)
            if array.size != count * int(np.prod(shape)):
                raise ValueError(
                    f"{self._path}: output {one.output!r}: expected {shape} for each row, as {one.input!r} takes it, "
                    f"got {array.shape} for {count}"
                )
            parts = [array] if axis is None else np.split(array, count, axis=axis)
            states = [state + part.tobytes() for state, part in zip(states, parts, strict=True)]
        return states

    def _decided(self, row: Array, value: float, state: bytes) -> Decided | Exception:
        if not (np.isfinite(row).all() and np.isfinite(value) and np.isfinite(np.frombuffer(state, np.float32)).all()):
            return ValueError(f"{self._path}: the policy gave numbers that are not finite")
        return row, value, state

    def _check_names(self) -> None:
        taken = {self._part.frame, *(one.input for one in self._part.state)}
        if taken != self._inputs.keys():
            raise ValueError(f"{self._path}: expected the inputs {_names(taken)}, the file has {_names(self._inputs)}")
        given = [one.name for one in self._session.get_outputs()]
        if missing := [name for name in self._outputs if name not in given]:
            raise ValueError(f"{self._path}: expected the output {missing[0]!r}, the file has {_names(given)}")

    def _checked_frame(self) -> tuple[Any, bool]:
        """The dtype of the pixels, and whether the number of rows is free."""
        one = self._inputs[self._part.frame]
        height, width, channels = self._shape
        sides = (height, width, channels) if self._part.layout == "HWC" else (channels, height, width)
        fits = len(one.shape) == 4 and all(
            not isinstance(size, int) or size == side for size, side in zip(one.shape[1:], sides, strict=True)
        )
        if one.type not in _PIXELS or not fits:
            expected = f"uint8 or float of {('rows', *sides)}"
            raise ValueError(
                f"{self._path}: input {one.name!r}: expected {expected}, the file has {one.type} of {one.shape}"
            )
        if isinstance(one.shape[0], int) and one.shape[0] != 1:
            raise ValueError(f"{self._path}: input {one.name!r}: expected a free number of rows or 1, got {one.shape[0]}")
        return _PIXELS[one.type], not isinstance(one.shape[0], int)

    def _batch_axis(self, name: str) -> int | None:
        free = [axis for axis, size in enumerate(self._inputs[name].shape) if not isinstance(size, int)]
        if len(free) > 1:
            raise ValueError(
                f"{self._path}: input {name!r}: expected one free size, the rows, got {self._inputs[name].shape}"
            )
        return free[0] if free else None

    def _state_shape(self, name: str, axis: int | None) -> tuple[int, ...]:
        """Of one item."""
        one = self._inputs[name]
        if one.type != "tensor(float)":
            raise ValueError(f"{self._path}: input {name!r}: expected a state of floats, the file has {one.type}")
        return tuple(1 if at == axis else size for at, size in enumerate(one.shape))

    def _check_state_bytes(self) -> None:
        needed = 4 * sum(int(np.prod(shape)) for shape in self._state_shapes)
        if needed != self._part.state_bytes:
            raise ValueError(f"{self._path}: policy.state_bytes: expected {needed}, got {self._part.state_bytes}")

    def _try(self) -> None:
        """Takes a step on black and then one on white, as one row and, if they are free, as two."""
        black, white = np.zeros(self._shape, np.uint8), np.full(self._shape, 255, np.uint8)
        for count in (1, 2) if self._together else (1,):
            found = [self._tried(one) for one in self.decide([(black, b"")] * count)]
            for one in self.decide([(white, state) for _, _, state in found]):
                self._tried(one)

    def _tried(self, one: Decided | Exception) -> Decided:
        if isinstance(one, Exception):
            raise one
        if one[0].shape != (self._row,):
            text = f"expected {self._row} numbers for the actions, got {one[0].size}"
            raise ValueError(f"{self._path}: outputs {_names(self._part.parameters)}: {text}")
        return one


def _session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4  # what is wrong is raised
    try:
        # As bytes: weights in other files, which a path could lead to, are not read.
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except FileNotFoundError:
        raise
    except Exception as error:  # onnxruntime raises many kinds
        raise ValueError(f"{path}: it is no ONNX file that can be run: {str(error).splitlines()[0]}") from None


def onnx_inputs(path: Path) -> dict[str, Any]:
    """Returns the inputs of an ONNX file by name; each has `shape` and `type`."""
    return {one.name: one for one in _session(path, 1).get_inputs()}


def state_bytes_of(inputs: Mapping[str, Any], names: Sequence[str]) -> int:
    """Returns the bytes of one row of these inputs, float32 each."""
    if missing := [name for name in names if name not in inputs]:
        raise ValueError(f"state: expected the input {missing[0]!r}, the file has {_names(inputs)}")
    return sum(4 * int(np.prod([size for size in inputs[name].shape if isinstance(size, int)])) for name in names)


def _names(names: Any) -> str:
    return ", ".join(repr(name) for name in sorted(names)) or "none"
