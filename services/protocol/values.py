"""Plain typed values. Services convert messages to them at the boundary, and use no messages behind it."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.policy.distributions import Distribution
from agent.policy.heads import Choice
from agent.vocabulary import Word


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An observation as it was sent. encoding: RAW_RGB8, PNG, JPEG, or the number of an unknown encoding."""

    encoding: str | int
    height: int
    width: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ActCall:
    """The request of one Act. agent: name, digest, or empty. deterministic: None for the episode's own setting.

    distribution: the answer is to hold the distribution over actions.
    """

    episode_id: str
    step: int
    observation: EncodedImage
    agent: str = ""
    deterministic: bool | None = None
    distribution: bool = False


@dataclass(frozen=True, slots=True)
class ExplainCall:
    """The request of one ExplainStep. observation: None to use the recorded frame."""

    episode_id: str
    step: int
    max_steps: int
    observation: EncodedImage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedStep:
    """A committed step; `services.protocol.steps` converts it to its stored form.

    words: in the order in which they entered the memory. value: of the critic. log_prob: natural logarithm of the action's
    probability (density). history_digest: of the history including this step. time_us: microseconds since 1970.
    policy_state: what a policy without words knows after the step; the episode keeps it until the next one.
    """

    words: Sequence[Word]
    action: Choice
    value: float
    log_prob: float
    frame_fingerprint: bytes
    history_digest: bytes
    time_us: int
    policy_state: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """Where an episode comes from that goes on from a step of another one.

    source: in full. step: the first that it takes itself. tokens_per_step: words of a step that no edit has changed.
    word_counts: the steps with another number of words and these, in ascending order.
    """

    source: str
    source_incarnation: str
    step: int
    edits: Sequence["Edit"]
    tokens_per_step: int
    word_counts: Sequence[tuple[int, int]] = ()

    def words_up_to(self, step: int) -> int:
        """Words of the episode up to a step, that one's included."""
        other = sum(words - self.tokens_per_step for number, words in self.word_counts if number <= step)
        return (step + 1) * self.tokens_per_step + other


@dataclass(frozen=True, kw_only=True)
class EpisodeState:
    """The state of an episode, without its words.

    incarnation: tells this episode from those that had its name before or will have it later. policy_state: what a policy
    without words knows after the committed step; read only where a step may follow.
    """

    episode_id: str
    agent: str
    agent_digest: str
    seed: int
    deterministic: bool
    committed: int = -1  # the committed step
    history_digest: bytes
    length: int = 0  # committed tokens
    ended: bool = False
    total_reward: float | None = None  # as the client told it at the end
    created_us: int = 0
    updated_us: int = 0
    ttl_ms: int = 0  # until it expires; 0 of one that the archive alone has
    incarnation: str = ""
    archived: bool = False  # the archive has a copy
    policy_state: bytes = b""
    branch: Branch | None = None

    def words_up_to(self, step: int, words: int) -> int:
        """Words of the episode up to a committed step, which has `words`."""
        return self.branch.words_up_to(step) if self.branch else (step + 1) * words


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTimes:
    """Seconds of an Act from its arrival on, and of its stages by name: decode, retrieval, memory, policy, commit."""

    total: float
    stages: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActAnswer:
    """The answer to an Act. state: of the episode after it. times, distribution: None for a stored answer; the latter also
    where it is not wanted.
    """

    state: EpisodeState
    step: int
    record: CommittedStep
    window: int
    replayed: bool = False
    rebuilt: bool = False
    times: StageTimes | None = None
    distribution: Distribution | None = None

    @property
    def length(self) -> int:
        """Words of the episode up to this step."""
        return self.state.words_up_to(self.step, len(self.record.words))


@dataclass(frozen=True, slots=True)
class Decision:
    """The policy's output for a history. probabilities: of each action if the action space is discrete, else empty."""

    probabilities: Sequence[float]
    most_probable: Choice
    value: float


@dataclass(frozen=True, slots=True)
class Influence:
    """How much the decision changes without some words. change: total variation distance, 0 .. 1."""

    words: Sequence[Word]
    steps: Sequence[int]
    change: float
    without: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The influence of words on a step. reach_from_step: the first step whose words the memory vector depends on."""

    step: int
    action: Choice
    decision: Decision
    by_word: Sequence[Influence]
    by_step: Sequence[Influence]
    reach_from_step: int


@dataclass(frozen=True, slots=True)
class Remove:
    """Takes a word away, from one step or (None) from all; an empty word means all words of a step."""

    word: str
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Replace:
    """Puts a word in the place of another, at one step or (None) at all."""

    word: str
    replacement: str
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Insert:
    """Adds a word after the others of a step."""

    word: str
    step: int


@dataclass(frozen=True, slots=True)
class Swap:
    """Exchanges two words at all steps."""

    word: str
    other: str


Edit = Remove | Replace | Insert | Swap


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another memory. agent: name or digest of the agent that decides; empty for the episode's."""

    edits: Sequence[Edit]
    agent: str = ""


@dataclass(frozen=True, slots=True)
class WhatIfCall:
    """The request of one WhatIf. observation: None to use the recorded frame."""

    episode_id: str
    step: int
    alternatives: Sequence[Alternative]
    observation: EncodedImage | None = None


StepWords = tuple[int, Sequence[Word]]  # the step's number first


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfOutcome:
    """What a policy makes of a memory. change: total variation distance from the memory as it is, 0 .. 1, if there is one.
    words: of the steps within reach, or of those that were edited.
    """

    distribution: Distribution
    most_probable: Choice
    value: float
    change: float | None
    words: Sequence[StepWords]


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIfAnswer:
    """What the agent did, and would make of each memory."""

    step: int
    action: Choice
    actual: WhatIfOutcome
    alternatives: Sequence[WhatIfOutcome]
    reach_from_step: int


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """A recorded frame as a PNG file, with its size in pixels."""

    height: int
    width: int
    png: bytes
