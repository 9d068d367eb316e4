"""What the computation of a step takes and gives."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agent.frame import Observation
from agent.policy.actor_critic import Parameters
from agent.policy.distributions import Distribution, distribution_of
from agent.policy.heads import Head, choose
from agent.vocabulary import Word
from services.protocol.values import CommittedStep, EpisodeState


@dataclass(frozen=True, slots=True)
class Turn:
    """The inputs of one step of one episode. deterministic: choose the most probable action. distribution: it is wanted."""

    state: EpisodeState
    step: int
    observation: Observation
    deterministic: bool
    distribution: bool = False

    @property
    def length(self) -> int | None:
        """Words before the step, where not every step has as many as the agent's."""
        branch = self.state.branch
        return self.state.length if branch and branch.word_counts else None


class Computed(NamedTuple):
    """The step to commit, whether the memory state had to be rebuilt, and the distribution over actions if it is wanted."""

    record: CommittedStep
    rebuilt: bool
    distribution: Distribution | None


def unfailed(outcomes: Sequence[object]) -> list[int]:
    """Returns which turns have not failed."""
    return [i for i, outcome in enumerate(outcomes) if not isinstance(outcome, BaseException)]


def acted(
    turn: Turn,
    heads: Sequence[Head],
    parameters: Parameters,
    value: float,
    *,
    words: Sequence[Word],
    history_digest: bytes,
    policy_state: bytes = b"",
    rebuilt: bool = False,
) -> Computed:
    """Returns the step to commit, with the action that these parameters give. The rest as in CommittedStep and Computed."""
    state, step = turn.state, turn.step
    action, log_prob = choose(heads, parameters, seed=state.seed, step=step, deterministic=turn.deterministic)
    record = CommittedStep(
        words=words,
        action=action,
        value=value,
        log_prob=log_prob,
        frame_fingerprint=turn.observation.fingerprint,
        history_digest=history_digest,
        time_us=time.time_ns() // 1000,
        policy_state=policy_state,
    )
    return Computed(record, rebuilt, distribution_of(heads, parameters) if turn.distribution else None)
