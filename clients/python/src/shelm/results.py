"""The server's answers as frozen dataclasses, named like the protobuf messages.

Classes that contain an action compare by identity, because a continuous action is an array.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Union

import numpy as np
from numpy.typing import NDArray

from shelm.edits import Edit

Part = Union[int, NDArray[np.float32]]
"""Index of a discrete action, or a float32 vector (dimensions,) of a continuous one."""

Action = Union[Part, dict[str, Part]]
"""An action, as gymnasium's step accepts it; a dict has an entry for each part of a dict action space."""


@dataclass(frozen=True)
class Discrete:
    """A space of `n` discrete actions."""

    n: int
    names: tuple[str, ...]
    """Names of the actions; empty if unknown."""


@dataclass(frozen=True)
class Continuous:
    """A float32 vector within bounds."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    names: tuple[str, ...]
    """Names of the dimensions; empty if unknown."""


ActionSpace = Union[Discrete, Continuous, dict[str, Union[Discrete, Continuous]]]
"""An action space; a dict has its parts in alphabetical order."""


@dataclass(frozen=True)
class Token:
    """One word that was retrieved for a frame."""

    text: str
    similarity: float
    """Cosine similarity of frame and word, -1 .. 1."""
    id: int
    """Row of the word in the agent's vocabulary."""


@dataclass(frozen=True)
class Memory:
    """The state of the memory after a step."""

    length: int
    """Number of tokens committed in the episode."""
    window: int
    """Number of token positions within reach of the attention."""
    rebuilt: bool
    """Whether the memory state was recomputed from the history for this step."""


@dataclass(frozen=True)
class Timing:
    """Duration of each stage of one Act on the server, in microseconds; stages overlap."""

    total_us: int
    decode_us: int
    retrieval_us: int
    memory_us: int
    policy_us: int
    commit_us: int


@dataclass(frozen=True)
class Distribution:
    """A probability distribution over actions; which fields are set depends on the kind of action."""

    entropy: float
    """In nats; of a dict action the sum over its parts, of a continuous one that of the density before clipping."""
    probabilities: tuple[float, ...] = ()
    """Probability of each discrete action."""
    mean: tuple[float, ...] = ()
    """Mean of each dimension of a continuous action, before clipping to its bounds."""
    deviation: tuple[float, ...] = ()
    """Standard deviation of each dimension of a continuous action."""
    parts: dict[str, Distribution] = field(default_factory=dict)
    """Of each part of a dict action; the parts are independent."""


@dataclass(frozen=True, eq=False)
class Act:
    """The committed answer to a step."""

    episode_id: str
    step: int
    action: Action
    tokens: list[Token]
    """The words of this frame, most similar first."""
    value: float
    """The critic's estimate of the discounted return."""
    log_prob: float
    """Natural logarithm of the action's probability (density)."""
    committed_step: int
    replayed: bool
    """Whether this is the stored answer of a step that had been committed before."""
    memory: Memory
    agent_digest: str
    timing: Timing | None
    """None in a replayed answer."""
    distribution: Distribution | None = None
    """The distribution over actions, if it was asked for; None in a replayed answer, because it is not stored."""


@dataclass(frozen=True, eq=False)
class MemoryStep:
    """The words, action and value of one step in the memory."""

    step: int
    tokens: list[Token]
    action: Action
    in_window: bool
    """Whether the attention of the next step can still reach at least one of these words."""
    time: datetime | None
    value: float


@dataclass(frozen=True, eq=False)
class Decision:
    """The policy's output for a frame and a memory."""

    probabilities: tuple[float, ...]
    """Probability of each action; empty unless the action space is discrete."""
    most_probable: Action
    """The most probable action; for a continuous part its mean, clipped to its bounds."""
    value: float
    """The critic's estimate."""


@dataclass(frozen=True, eq=False)
class Influence:
    """The effect of removing something from the memory."""

    tokens: list[Token]
    """The words that were removed."""
    steps: list[int]
    """The steps from which they were removed."""
    change: float
    """Total variation distance between the action distributions with and without them, 0 (no change) .. 1."""
    without: Decision


@dataclass(frozen=True, eq=False)
class Explanation:
    """Which earlier words decided a step."""

    step: int
    action: Action
    """The action of the step."""
    decision: Decision
    """The policy's output with the whole memory."""
    words: list[Influence]
    """One for each distinct word of earlier steps within reach; the most influential first."""
    steps: list[Influence]
    """One for each of the latest earlier steps within reach; the most influential first."""
    reach_from_step: int
    """First step whose words can still reach the memory vector."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """The policy's output for a frame and a memory."""

    distribution: Distribution
    most_probable: Action
    """The most probable action; for a continuous part its mean, clipped to its bounds."""
    value: float
    """The critic's estimate."""
    change: float | None
    """Total variation distance from the distribution with the memory as it is, 0 .. 1; None for that one itself, and for
    another agent whose actions cannot be compared."""
    words: dict[int, list[Token]]
    """Words as they stand, by step, oldest first: all within reach, or, of an alternative, those of the edited steps."""


@dataclass(frozen=True, eq=False)
class WhatIf:
    """What the agent would do at a step with other memories."""

    step: int
    action: Action
    """The action of the step."""
    actual: Outcome
    """With the memory as it is."""
    alternatives: list[Outcome]
    """One for each alternative, in their order."""
    reach_from_step: int
    """First step whose words can still reach the memory vector; edits may name it and those after it."""


@dataclass(frozen=True)
class Branch:
    """The origin of an episode that goes on from a step of another one."""

    source: str
    """Id of the other episode, which may be gone."""
    source_incarnation: str
    """Tells that episode from others of its name; compare it for equality alone."""
    step: int
    """The first step that the branch took itself; those before it are the source's, but for the edited words."""
    edits: tuple[Edit, ...]
    """What was changed in the words of those steps."""


@dataclass(frozen=True)
class EpisodeInfo:
    """Metadata of one episode, without its words. Times are in UTC."""

    episode_id: str
    agent: str
    agent_digest: str
    seed: int
    deterministic: bool
    committed_step: int | None
    """None before the first step."""
    ended: bool
    memory_length: int
    create_time: datetime | None
    update_time: datetime | None
    expire_time: datetime | None
    """When the server forgets it; None if the archive alone has it."""
    total_reward: float | None = None
    """Sum of the rewards that the client sent when it ended the episode; None if it sent none."""
    archived: bool = False
    """The server's archive has a copy of it."""
    branch: Branch | None = None
    """Where it comes from, if it is a branch."""


@dataclass(frozen=True)
class FoundEpisode:
    """An episode that a search has found."""

    episode: EpisodeInfo
    seen_steps: tuple[int, ...]
    """For each word that it must have seen: the first step that counts and saw it."""


@dataclass(frozen=True)
class Share:
    """A counted share with Wilson's 95 % interval, which takes episodes for independent; those from one start are not."""

    count: int
    total: int
    low: float
    high: float


@dataclass(frozen=True)
class WordOutcome:
    """What seeing a word has to do with success: the share of the episodes of each outcome that saw it."""

    word: str
    of_succeeded: Share
    of_failed: Share


@dataclass(frozen=True)
class TransitionOutcome:
    """What seeing `word` at one step and `next_word` at the next has to do with success."""

    word: str
    next_word: str
    of_succeeded: Share
    of_failed: Share


@dataclass(frozen=True)
class Comparison:
    """How episodes that succeeded differ from those that failed; the most different words and transitions first."""

    succeeded: int
    """Number of episodes that succeeded."""
    failed: int
    words: list[WordOutcome]
    transitions: list[TransitionOutcome]
    partial: bool
    """Whether episodes that belong here were not counted: more had ended than the server reads, or some are damaged."""


@dataclass(frozen=True)
class Agent:
    """An agent that the server serves."""

    name: str
    digest: str
    description: str
    observation_shape: tuple[int, int, int]
    """(height, width, 3)."""
    action_space: ActionSpace
    window: int
    tokens_per_step: int
    vocabulary_size: int
    environments: tuple[str, ...]
    default: bool
    """Whether it serves new episodes that name no agent."""
    channels: int = 3
    """1: it sees grey, frames whose red, green and blue are equal."""
    stacked: int = 1
    """Frames that it sees at once; the server keeps the earlier ones, so one is sent."""

    @property
    def keeps_words(self) -> bool:
        """Whether its memory is words; otherwise it is a policy alone."""
        return self.tokens_per_step > 0
