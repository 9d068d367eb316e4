"""The models of an agent bundle in a Triton server: their names and tensors, used by both client and backend.

- act: FRAME, EPISODE, STEP and DIGEST -> STATUS, and if that is DONE, ROWS, SIMILARITIES, PARAMETERS and VALUE: a whole Act
  in one request, whose intermediate tensors stay in the model. With PAST it rebuilds first. It has memory slots of its own,
  with the operations of `memory`, and does what `policy` does for histories that need not exist.
- clip_image: FRAME -> ROWS of the vocabulary, most similar first, and their SIMILARITIES.
- policy: FRAME and MEMORY -> PARAMETERS, one row of agent.policy.heads, and VALUE.
- memory: OP is the operation. DIGEST is that of the history before the step, LENGTH the number of its words, where not every
  step has the same. PAST contains the last words of the history for a rebuild, or all words of a history to encode. STATUS
  is the outcome, NEEDED the number of steps that a rebuild needs or the number of slots dropped, ERROR the reason why a step
  was rejected, and COUNTS a `SlotCounts`.

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

Part = Literal["act", "clip_image", "memory", "policy"]
PARTS: tuple[Part, ...] = ("act", "clip_image", "memory", "policy")
DIGITS = 16  # of the digest, in the name of a model
Tensor = NDArray[Any]
Kind = Literal["UINT8", "INT32", "INT64", "FP32", "STRING"]  # Triton's names


class TensorSpec(NamedTuple):
    """One tensor of one request, without the batch dimension; -1 means any length."""

    kind: Kind
    dims: tuple[int, ...]
    optional: bool = False


class Op(IntEnum):
    """The operations of `memory`, and with ACT and DECIDE those of `act`."""

    COUNTS = 0  # the only input
    REMEMBER = 1  # with PAST: rebuild first
    FORGET = 2
    ENCODE_HISTORY = 3  # PAST is the whole history; EPISODE, STEP, WORDS and DIGEST are ignored
    ACT = 4
    DECIDE = 5  # FRAME and MEMORY alone


class Status(IntEnum):
    """The outcomes of an Act, or of an operation of `memory`."""

    DONE = 0
    SLOT_MISS = 1
    REFUSED = 2  # ERROR gives the reason


def model_name(part: Part, digest: str) -> str:
    """Returns the name of the Triton model for a part of the bundle with this digest."""
    return f"{part}_{digest[:DIGITS]}"


def model_tensors(part: Part, bundle: AgentBundle) -> tuple[Mapping[str, TensorSpec], Mapping[str, TensorSpec]]:
    """Returns the inputs and outputs of a model."""
    manifest = bundle.manifest
    k, dimension = manifest.retrieval.k, manifest.memory.dimension
    seen = {"FRAME": TensorSpec("UINT8", (manifest.observation.height, manifest.observation.width, 3))}
    found = {"ROWS": TensorSpec("INT32", (k,)), "SIMILARITIES": TensorSpec("FP32", (k,))}
    if part == "clip_image":
        return seen, found
    known = {**seen, "MEMORY": TensorSpec("FP32", (dimension,))}
    decided = {"PARAMETERS": TensorSpec("FP32", (sum(row_sizes(manifest.actions)),)), "VALUE": TensorSpec("FP32", (1,))}
    if part == "policy":
        return known, decided
    asked, answered = _memory_tensors(k, dimension)
    if part == "memory":
        return asked, answered
    inputs = {name: one._replace(optional=name != "OP") for name, one in {**asked, **known}.items()}
    return inputs, {**answered, **found, **decided}


def _memory_tensors(k: int, dimension: int) -> tuple[dict[str, TensorSpec], dict[str, TensorSpec]]:
    return (
        {
            "OP": TensorSpec("UINT8", (1,)),
            "EPISODE": TensorSpec("STRING", (1,)),
            "STEP": TensorSpec("INT64", (1,)),
            "WORDS": TensorSpec("INT32", (k,)),
            "DIGEST": TensorSpec("UINT8", (DIGEST_BYTES,)),
            "PAST": TensorSpec("INT32", (-1,), optional=True),
            "LENGTH": TensorSpec("INT64", (1,), optional=True),
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
