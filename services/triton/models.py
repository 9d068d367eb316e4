"""The three models of an agent bundle in a Triton server: their names and tensors, used by both client and backend.

- clip_image: FRAME -> ROWS of the vocabulary, most similar first, and their SIMILARITIES.
- policy: FRAME and MEMORY -> PARAMETERS, one row of agent.policy.heads, and VALUE.
- memory: OP is the operation. DIGEST is that of the history before the step. PAST contains the last words of the history for
  a rebuild, or all words of a history to encode. STATUS is the outcome, NEEDED the number of steps that a rebuild needs or
  the number of slots dropped, ERROR the reason why a step was rejected, and COUNTS a `SlotCounts`.

The digest is part of a model's name, because all versions of one Triton model share their tensor shapes, which differ
between bundles. Several bundles can be loaded at once, so that a running episode stays on its own. Failure policy: nothing
here raises its own errors.
"""

from collections.abc import Mapping
from dataclasses import astuple, fields
from enum import IntEnum
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent.bundle import AgentBundle
from agent.history import DIGEST_BYTES
from agent.memory.slots import SlotCounts
from agent.policy.heads import row_sizes

Part = Literal["clip_image", "memory", "policy"]
PARTS: tuple[Part, ...] = ("clip_image", "memory", "policy")
Tensor = NDArray[Any]
Kind = Literal["UINT8", "INT32", "INT64", "FP32", "STRING"]  # Triton's names


class TensorSpec(NamedTuple):
    """One tensor of one request, without the batch dimension; -1 means any length."""

    kind: Kind
    dims: tuple[int, ...]
    optional: bool = False


class Op(IntEnum):
    """The operations of `memory`."""

    COUNTS = 0
    REMEMBER = 1  # with PAST: rebuild first
    FORGET = 2
    ENCODE_HISTORY = 3  # PAST is the whole history; EPISODE, STEP, WORDS and DIGEST are ignored


class Status(IntEnum):
    """The outcomes of an operation of `memory`."""

    DONE = 0
    SLOT_MISS = 1
    REFUSED = 2  # ERROR gives the reason


def model_name(part: Part, digest: str) -> str:
    """Returns the name of the Triton model for a part of the bundle with this digest."""
    return f"{part}_{digest[:16]}"


def model_tensors(part: Part, bundle: AgentBundle) -> tuple[Mapping[str, TensorSpec], Mapping[str, TensorSpec]]:
    """Returns the inputs and outputs of a model."""
    manifest = bundle.manifest
    k, dimension = manifest.retrieval.k, manifest.memory.dimension
    frame = {"FRAME": TensorSpec("UINT8", (manifest.observation.height, manifest.observation.width, 3))}
    if part == "clip_image":
        return frame, {"ROWS": TensorSpec("INT32", (k,)), "SIMILARITIES": TensorSpec("FP32", (k,))}
    if part == "policy":
        parameters = TensorSpec("FP32", (sum(row_sizes(manifest.actions)),))
        outputs = {"PARAMETERS": parameters, "VALUE": TensorSpec("FP32", (1,))}
        return {**frame, "MEMORY": TensorSpec("FP32", (dimension,))}, outputs
    return (
        {
            "OP": TensorSpec("UINT8", (1,)),
            "EPISODE": TensorSpec("STRING", (1,)),
            "STEP": TensorSpec("INT64", (1,)),
            "WORDS": TensorSpec("INT32", (k,)),
            "DIGEST": TensorSpec("UINT8", (DIGEST_BYTES,)),
            "PAST": TensorSpec("INT32", (-1,), optional=True),
        },
        {
            "STATUS": TensorSpec("UINT8", (1,)),
            "VECTOR": TensorSpec("FP32", (dimension,)),
            "AFTER": TensorSpec("UINT8", (DIGEST_BYTES,)),
            "NEEDED": TensorSpec("INT32", (1,)),
            "ERROR": TensorSpec("STRING", (1,)),
            "COUNTS": TensorSpec("INT64", (len(fields(SlotCounts)),)),
        },
    )


def counts_tensor(counts: SlotCounts) -> Tensor:
    """Converts `SlotCounts` to COUNTS: int64, one value per field, in their order."""
    return np.array(astuple(counts), np.int64)


def read_counts(tensor: Tensor) -> SlotCounts:
    """Converts COUNTS back to `SlotCounts`."""
    return SlotCounts(*(int(value) for value in tensor))
