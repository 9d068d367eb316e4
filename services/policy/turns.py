"""What the computation of a step takes and gives."""

from dataclasses import dataclass

from agent.frame import Observation
from services.protocol.values import CommittedStep, EpisodeState


@dataclass(frozen=True, slots=True)
class Turn:
    """The inputs of one step of one episode. deterministic: choose the most probable action."""

    state: EpisodeState
    step: int
    observation: Observation
    deterministic: bool


Computed = tuple[CommittedStep, bool]  # the step to commit, and whether the memory state had to be rebuilt
