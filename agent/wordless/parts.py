"""The part of agent.json that only an agent without words has: what computes its policy.

Why it is so: docs/decisions/0018-policies-without-words.md.

Failure policy: an invalid value raises pydantic's ValidationError, which names the field.
"""

import re
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_STATE_BYTES = 2**18  # of one episode: it is written to Redis with every step
_ENTRY_POINT = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StatePart(_Part):
    """One array of a recurrent state: the input that takes it, and the output that gives the next one."""

    input: str
    output: str


class OnnxPart(_Part):
    """An ONNX file of the bundle. Names are those of its inputs and outputs.

    frame: uint8, or float32 pixels divided by `scale`; (rows, height, width, channels) or channels first, as `layout` says.
    parameters: outputs that side by side are a row of agent.policy.heads. value: none: 0 for every step. state: float32
    arrays, zeros before the first step.
    """

    kind: Literal["onnx"]
    file: str = Field(pattern=r"^[^\x00-\x1f\x7f]+$")
    frame: str = "frame"
    layout: Literal["HWC", "CHW"] = "HWC"
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    parameters: tuple[str, ...] = Field(default=("parameters",), min_length=1)
    value: str = ""
    state: tuple[StatePart, ...] = ()
    state_bytes: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _check_state(self) -> Self:
        if bool(self.state) != bool(self.state_bytes):
            raise ValueError(f"state_bytes: {self.state_bytes} with {len(self.state)} arrays of state")
        return self


class EntryPointPart(_Part):
    """A function of an installed package that makes the policy (agent.wordless.entry_point). It is code: opt-in."""

    kind: Literal["entry_point"]
    entry_point: str  # MODULE:FUNCTION
    package: str  # the distribution that it belongs to
    version: str  # of the package, exactly
    state_bytes: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _check_name(self) -> Self:
        if not _ENTRY_POINT.fullmatch(self.entry_point):
            raise ValueError(f"entry_point: expected MODULE:FUNCTION, got {self.entry_point!r}")
        return self
