"""Action spaces as defined in an agent bundle: discrete, continuous, or a dict of named parts of these two kinds.

The three forms are `{"discrete": n, "names": [...]}`, `{"continuous": {"low": [...], "high": [...]}, "names": [...]}` and
`{"dict": {NAME: one of the first two, ...}}`. The parts of a dict are always sorted by name, whatever their order in the
file, because the bundle's digest does not cover that order.

Failure policy: an invalid value raises pydantic's ValidationError, which names the field.
"""

from typing import Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

Bound = Annotated[float, Field(allow_inf_nan=False, ge=-3e38, le=3e38)]  # a finite float32
PartName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]


class _Space(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Bounds(_Space):
    """Lower and upper bound of each dimension, rounded to float32."""

    low: tuple[Bound, ...] = Field(min_length=1)
    high: tuple[Bound, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.low) != len(self.high):
            raise ValueError(f"low and high must be of one length, got {len(self.low)} and {len(self.high)}")
        for i, (low, high) in enumerate(zip(*self.arrays(), strict=True)):
            if low >= high:
                raise ValueError(f"low[{i}] must be less than high[{i}], got {low} and {high}")
        return self

    def arrays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Returns `low` and `high`, each float32 (dimensions,)."""
        return np.array(self.low, np.float32), np.array(self.high, np.float32)


class SingleSpace(_Space):
    """A discrete action out of `discrete`, or a float32 vector within the bounds of `continuous`."""

    kinds: ClassVar[dict[str, str]] = {"discrete": "discrete", "continuous": "continuous"}  # key in the file -> attribute
    discrete: int | None = Field(default=None, gt=0, le=65_536)
    continuous: Bounds | None = None
    names: tuple[str, ...] = ()  # one for each discrete action, or each dimension

    @model_validator(mode="after")
    def _check_kind(self) -> Self:
        given = [kind for kind, attribute in self.kinds.items() if getattr(self, attribute) is not None]
        if len(given) != 1:
            raise ValueError(f"expected exactly one of {', '.join(self.kinds)}, got {' and '.join(given) or 'none'}")
        if self.continuous and self.names and len(self.names) != self.size:
            raise ValueError(f"names: expected none or one for each of {self.size} dimensions, got {len(self.names)}")
        return self

    @property
    def size(self) -> int:
        """Number of discrete actions, or of continuous dimensions; 0 for a dict."""
        return len(self.continuous.low) if self.continuous else self.discrete or 0


class ActionSpace(SingleSpace):
    """The action space of an agent."""

    kinds = {**SingleSpace.kinds, "dict": "parts"}
    parts: dict[PartName, SingleSpace] | None = Field(default=None, alias="dict", min_length=1)

    @field_validator("parts")
    @classmethod
    def _sort(cls, parts: dict[str, SingleSpace] | None) -> dict[str, SingleSpace] | None:
        return dict(sorted(parts.items())) if parts else parts

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        if self.parts and self.names:
            raise ValueError("names: the parts of a dict have their own")
        return self

    @property
    def spaces(self) -> dict[str, SingleSpace]:
        """The parts by name; a space that is not a dict is returned as one part with the name ""."""
        return self.parts or {"": self}
