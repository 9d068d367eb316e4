from google.protobuf import any_pb2 as _any_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Encoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENCODING_UNSPECIFIED: _ClassVar[Encoding]
    ENCODING_RAW_RGB8: _ClassVar[Encoding]
    ENCODING_PNG: _ClassVar[Encoding]
    ENCODING_JPEG: _ClassVar[Encoding]

class EpisodeState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EPISODE_STATE_UNSPECIFIED: _ClassVar[EpisodeState]
    EPISODE_STATE_RUNNING: _ClassVar[EpisodeState]
    EPISODE_STATE_ENDED: _ClassVar[EpisodeState]

class EpisodeOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EPISODE_OUTCOME_UNSPECIFIED: _ClassVar[EpisodeOutcome]
    EPISODE_OUTCOME_SUCCEEDED: _ClassVar[EpisodeOutcome]
    EPISODE_OUTCOME_FAILED: _ClassVar[EpisodeOutcome]

class EpisodeOrder(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EPISODE_ORDER_UNSPECIFIED: _ClassVar[EpisodeOrder]
    EPISODE_ORDER_NEWEST: _ClassVar[EpisodeOrder]
    EPISODE_ORDER_OLDEST: _ClassVar[EpisodeOrder]
ENCODING_UNSPECIFIED: Encoding
ENCODING_RAW_RGB8: Encoding
ENCODING_PNG: Encoding
ENCODING_JPEG: Encoding
EPISODE_STATE_UNSPECIFIED: EpisodeState
EPISODE_STATE_RUNNING: EpisodeState
EPISODE_STATE_ENDED: EpisodeState
EPISODE_OUTCOME_UNSPECIFIED: EpisodeOutcome
EPISODE_OUTCOME_SUCCEEDED: EpisodeOutcome
EPISODE_OUTCOME_FAILED: EpisodeOutcome
EPISODE_ORDER_UNSPECIFIED: EpisodeOrder
EPISODE_ORDER_NEWEST: EpisodeOrder
EPISODE_ORDER_OLDEST: EpisodeOrder

class Image(_message.Message):
    __slots__ = ("encoding", "height", "width", "data")
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    encoding: Encoding
    height: int
    width: int
    data: bytes
    def __init__(self, encoding: _Optional[_Union[Encoding, str]] = ..., height: _Optional[int] = ..., width: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class Action(_message.Message):
    __slots__ = ("discrete", "continuous", "dict")
    DISCRETE_FIELD_NUMBER: _ClassVar[int]
    CONTINUOUS_FIELD_NUMBER: _ClassVar[int]
    DICT_FIELD_NUMBER: _ClassVar[int]
    discrete: int
    continuous: FloatVector
    dict: DictAction
    def __init__(self, discrete: _Optional[int] = ..., continuous: _Optional[_Union[FloatVector, _Mapping]] = ..., dict: _Optional[_Union[DictAction, _Mapping]] = ...) -> None: ...

class DictAction(_message.Message):
    __slots__ = ("parts",)
    PARTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[NamedAction]
    def __init__(self, parts: _Optional[_Iterable[_Union[NamedAction, _Mapping]]] = ...) -> None: ...

class NamedAction(_message.Message):
    __slots__ = ("name", "action")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    name: str
    action: Action
    def __init__(self, name: _Optional[str] = ..., action: _Optional[_Union[Action, _Mapping]] = ...) -> None: ...

class FloatVector(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class Token(_message.Message):
    __slots__ = ("text", "similarity", "id")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    text: str
    similarity: float
    id: int
    def __init__(self, text: _Optional[str] = ..., similarity: _Optional[float] = ..., id: _Optional[int] = ...) -> None: ...

class Memory(_message.Message):
    __slots__ = ("length", "window", "rebuilt")
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    REBUILT_FIELD_NUMBER: _ClassVar[int]
    length: int
    window: int
    rebuilt: bool
    def __init__(self, length: _Optional[int] = ..., window: _Optional[int] = ..., rebuilt: bool = ...) -> None: ...

class Timing(_message.Message):
    __slots__ = ("total_us", "decode_us", "retrieval_us", "memory_us", "policy_us", "commit_us")
    TOTAL_US_FIELD_NUMBER: _ClassVar[int]
    DECODE_US_FIELD_NUMBER: _ClassVar[int]
    RETRIEVAL_US_FIELD_NUMBER: _ClassVar[int]
    MEMORY_US_FIELD_NUMBER: _ClassVar[int]
    POLICY_US_FIELD_NUMBER: _ClassVar[int]
    COMMIT_US_FIELD_NUMBER: _ClassVar[int]
    total_us: int
    decode_us: int
    retrieval_us: int
    memory_us: int
    policy_us: int
    commit_us: int
    def __init__(self, total_us: _Optional[int] = ..., decode_us: _Optional[int] = ..., retrieval_us: _Optional[int] = ..., memory_us: _Optional[int] = ..., policy_us: _Optional[int] = ..., commit_us: _Optional[int] = ...) -> None: ...

class ActRequest(_message.Message):
    __slots__ = ("episode_id", "step", "observation", "agent", "deterministic", "distribution")
    EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    DETERMINISTIC_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    episode_id: str
    step: int
    observation: Image
    agent: str
    deterministic: bool
    distribution: bool
    def __init__(self, episode_id: _Optional[str] = ..., step: _Optional[int] = ..., observation: _Optional[_Union[Image, _Mapping]] = ..., agent: _Optional[str] = ..., deterministic: bool = ..., distribution: bool = ...) -> None: ...

class ActResponse(_message.Message):
    __slots__ = ("episode_id", "step", "action", "committed_step", "replayed", "tokens", "value", "log_prob", "memory", "agent_digest", "timing", "distribution")
    EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_STEP_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LOG_PROB_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    AGENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    episode_id: str
    step: int
    action: Action
    committed_step: int
    replayed: bool
    tokens: _containers.RepeatedCompositeFieldContainer[Token]
    value: float
    log_prob: float
    memory: Memory
    agent_digest: str
    timing: Timing
    distribution: ActionDistribution
    def __init__(self, episode_id: _Optional[str] = ..., step: _Optional[int] = ..., action: _Optional[_Union[Action, _Mapping]] = ..., committed_step: _Optional[int] = ..., replayed: bool = ..., tokens: _Optional[_Iterable[_Union[Token, _Mapping]]] = ..., value: _Optional[float] = ..., log_prob: _Optional[float] = ..., memory: _Optional[_Union[Memory, _Mapping]] = ..., agent_digest: _Optional[str] = ..., timing: _Optional[_Union[Timing, _Mapping]] = ..., distribution: _Optional[_Union[ActionDistribution, _Mapping]] = ...) -> None: ...

class Status(_message.Message):
    __slots__ = ("code", "message", "details")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    details: _containers.RepeatedCompositeFieldContainer[_any_pb2.Any]
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., details: _Optional[_Iterable[_Union[_any_pb2.Any, _Mapping]]] = ...) -> None: ...

class ActBatchRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[ActRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[ActRequest, _Mapping]]] = ...) -> None: ...

class ActResult(_message.Message):
    __slots__ = ("response", "status")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    response: ActResponse
    status: Status
    def __init__(self, response: _Optional[_Union[ActResponse, _Mapping]] = ..., status: _Optional[_Union[Status, _Mapping]] = ...) -> None: ...

class ActBatchResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ActResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ActResult, _Mapping]]] = ...) -> None: ...

class ActStreamRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: ActRequest
    def __init__(self, request: _Optional[_Union[ActRequest, _Mapping]] = ...) -> None: ...

class ActStreamResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: ActResult
    def __init__(self, result: _Optional[_Union[ActResult, _Mapping]] = ...) -> None: ...

class Episode(_message.Message):
    __slots__ = ("episode_id", "agent", "agent_digest", "seed", "deterministic", "committed_step", "ended", "create_time", "update_time", "expire_time", "memory_length", "total_reward", "incarnation", "archived", "branch")
    EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    AGENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    DETERMINISTIC_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_STEP_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    MEMORY_LENGTH_FIELD_NUMBER: _ClassVar[int]
    TOTAL_REWARD_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    ARCHIVED_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    episode_id: str
    agent: str
    agent_digest: str
    seed: int
    deterministic: bool
    committed_step: int
    ended: bool
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    memory_length: int
    total_reward: float
    incarnation: str
    archived: bool
    branch: Branch
    def __init__(self, episode_id: _Optional[str] = ..., agent: _Optional[str] = ..., agent_digest: _Optional[str] = ..., seed: _Optional[int] = ..., deterministic: bool = ..., committed_step: _Optional[int] = ..., ended: bool = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., memory_length: _Optional[int] = ..., total_reward: _Optional[float] = ..., incarnation: _Optional[str] = ..., archived: bool = ..., branch: _Optional[_Union[Branch, _Mapping]] = ...) -> None: ...

class Branch(_message.Message):
    __slots__ = ("source_episode_id", "source_incarnation", "step", "edits")
    SOURCE_EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    EDITS_FIELD_NUMBER: _ClassVar[int]
    source_episode_id: str
    source_incarnation: str
    step: int
    edits: _containers.RepeatedCompositeFieldContainer[Edit]
    def __init__(self, source_episode_id: _Optional[str] = ..., source_incarnation: _Optional[str] = ..., step: _Optional[int] = ..., edits: _Optional[_Iterable[_Union[Edit, _Mapping]]] = ...) -> None: ...

class CreateEpisodeRequest(_message.Message):
    __slots__ = ("episode_id", "agent", "seed", "deterministic")
    EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    DETERMINISTIC_FIELD_NUMBER: _ClassVar[int]
    episode_id: str
    agent: str
    seed: int
    deterministic: bool
    def __init__(self, episode_id: _Optional[str] = ..., agent: _Optional[str] = ..., seed: _Optional[int] = ..., deterministic: bool = ...) -> None: ...

class CreateEpisodeResponse(_message.Message):
    __slots__ = ("episode",)
    EPISODE_FIELD_NUMBER: _ClassVar[int]
    episode: Episode
    def __init__(self, episode: _Optional[_Union[Episode, _Mapping]] = ...) -> None: ...

class BranchEpisodeRequest(_message.Message):
    __slots__ = ("episode_id", "source_episode_id", "step", "edits", "seed", "deterministic")
    EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    EDITS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    DETERMINISTIC_FIELD_NUMBER: _ClassVar[int]
    episode_id: str
    source_episode_id: str
    step: int
    edits: _containers.RepeatedCompositeFieldContainer[Edit]
    seed: int
    deterministic: bool
    def __init__(self, episode_id: _Optional[str] = ..., source_episode_id: _Optional[str] = ..., step: _Optional[int] = ..., edits: _Optional[_Iterable[_Union[Edit, _Mapping]]] = ..., seed: _Optional[int] = ..., deterministic: bool = ...) -> None: ...

class BranchEpisodeResponse(_message.Message):
    __slots__ = ("episode",)
    EPISODE_FIELD_NUMBER: _ClassVar[int]
    episode: Episode
    def __init__(self, episode: _Optional[_Union[Episode, _Mapping]] = ...) -> None: ...

class EndEpisodeRequest(_message.Message):
    __slots__ = ("episode_id", "total_reward")
    EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    TOTAL_REWARD_FIELD_NUMBER: _ClassVar[int]
    episode_id: str
    total_reward: float
    def __init__(self, episode_id: _Optional[str] = ..., total_reward: _Optional[float] = ...) -> None: ...

class EndEpisodeResponse(_message.Message):
    __slots__ = ("episode",)
    EPISODE_FIELD_NUMBER: _ClassVar[int]
    episode: Episode
    def __init__(self, episode: _Optional[_Union[Episode, _Mapping]] = ...) -> None: ...

class DeleteEpisodeRequest(_message.Message):
    __slots__ = ("episode_id",)
    EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    episode_id: str
    def __init__(self, episode_id: _Optional[str] = ...) -> None: ...

class DeleteEpisodeResponse(_message.Message):
    __slots__ = ("deleted",)
    DELETED_FIELD_NUMBER: _ClassVar[int]
    deleted: bool
    def __init__(self, deleted: bool = ...) -> None: ...

class GetEpisodeRequest(_message.Message):
    __slots__ = ("episode_id",)
    EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    episode_id: str
    def __init__(self, episode_id: _Optional[str] = ...) -> None: ...

class GetEpisodeResponse(_message.Message):
    __slots__ = ("episode",)
    EPISODE_FIELD_NUMBER: _ClassVar[int]
    episode: Episode
    def __init__(self, episode: _Optional[_Union[Episode, _Mapping]] = ...) -> None: ...

class ListEpisodesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "archived", "filter", "order")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ARCHIVED_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    archived: bool
    filter: EpisodeFilter
    order: EpisodeOrder
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., archived: bool = ..., filter: _Optional[_Union[EpisodeFilter, _Mapping]] = ..., order: _Optional[_Union[EpisodeOrder, str]] = ...) -> None: ...

class EpisodeFilter(_message.Message):
    __slots__ = ("agent", "state", "created", "updated", "reward", "name_prefix", "outcome", "success_above")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    UPDATED_FIELD_NUMBER: _ClassVar[int]
    REWARD_FIELD_NUMBER: _ClassVar[int]
    NAME_PREFIX_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_ABOVE_FIELD_NUMBER: _ClassVar[int]
    agent: str
    state: EpisodeState
    created: TimeRange
    updated: TimeRange
    reward: RewardRange
    name_prefix: str
    outcome: EpisodeOutcome
    success_above: float
    def __init__(self, agent: _Optional[str] = ..., state: _Optional[_Union[EpisodeState, str]] = ..., created: _Optional[_Union[TimeRange, _Mapping]] = ..., updated: _Optional[_Union[TimeRange, _Mapping]] = ..., reward: _Optional[_Union[RewardRange, _Mapping]] = ..., name_prefix: _Optional[str] = ..., outcome: _Optional[_Union[EpisodeOutcome, str]] = ..., success_above: _Optional[float] = ...) -> None: ...

class TimeRange(_message.Message):
    __slots__ = ("since", "until")
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    def __init__(self, since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RewardRange(_message.Message):
    __slots__ = ("least", "most")
    LEAST_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    least: float
    most: float
    def __init__(self, least: _Optional[float] = ..., most: _Optional[float] = ...) -> None: ...

class ListEpisodesResponse(_message.Message):
    __slots__ = ("episodes", "next_page_token", "damaged")
    EPISODES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_FIELD_NUMBER: _ClassVar[int]
    episodes: _containers.RepeatedCompositeFieldContainer[Episode]
    next_page_token: str
    damaged: _containers.RepeatedCompositeFieldContainer[DamagedEpisode]
    def __init__(self, episodes: _Optional[_Iterable[_Union[Episode, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., damaged: _Optional[_Iterable[_Union[DamagedEpisode, _Mapping]]] = ...) -> None: ...

class SeenWord(_message.Message):
    __slots__ = ("word", "first_step", "last_step")
    WORD_FIELD_NUMBER: _ClassVar[int]
    FIRST_STEP_FIELD_NUMBER: _ClassVar[int]
    LAST_STEP_FIELD_NUMBER: _ClassVar[int]
    word: str
    first_step: int
    last_step: int
    def __init__(self, word: _Optional[str] = ..., first_step: _Optional[int] = ..., last_step: _Optional[int] = ...) -> None: ...

class SearchEpisodesRequest(_message.Message):
    __slots__ = ("filter", "saw", "not_saw", "page_size", "page_token")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    SAW_FIELD_NUMBER: _ClassVar[int]
    NOT_SAW_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    filter: EpisodeFilter
    saw: _containers.RepeatedCompositeFieldContainer[SeenWord]
    not_saw: _containers.RepeatedCompositeFieldContainer[SeenWord]
    page_size: int
    page_token: str
    def __init__(self, filter: _Optional[_Union[EpisodeFilter, _Mapping]] = ..., saw: _Optional[_Iterable[_Union[SeenWord, _Mapping]]] = ..., not_saw: _Optional[_Iterable[_Union[SeenWord, _Mapping]]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class SearchEpisodesResponse(_message.Message):
    __slots__ = ("episodes", "next_page_token", "damaged")
    EPISODES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_FIELD_NUMBER: _ClassVar[int]
    episodes: _containers.RepeatedCompositeFieldContainer[FoundEpisode]
    next_page_token: str
    damaged: _containers.RepeatedCompositeFieldContainer[DamagedEpisode]
    def __init__(self, episodes: _Optional[_Iterable[_Union[FoundEpisode, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., damaged: _Optional[_Iterable[_Union[DamagedEpisode, _Mapping]]] = ...) -> None: ...

class FoundEpisode(_message.Message):
    __slots__ = ("episode", "seen_steps")
    EPISODE_FIELD_NUMBER: _ClassVar[int]
    SEEN_STEPS_FIELD_NUMBER: _ClassVar[int]
    episode: Episode
    seen_steps: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, episode: _Optional[_Union[Episode, _Mapping]] = ..., seen_steps: _Optional[_Iterable[int]] = ...) -> None: ...

class CompareOutcomesRequest(_message.Message):
    __slots__ = ("filter", "saw", "not_saw", "limit")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    SAW_FIELD_NUMBER: _ClassVar[int]
    NOT_SAW_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    filter: EpisodeFilter
    saw: _containers.RepeatedCompositeFieldContainer[SeenWord]
    not_saw: _containers.RepeatedCompositeFieldContainer[SeenWord]
    limit: int
    def __init__(self, filter: _Optional[_Union[EpisodeFilter, _Mapping]] = ..., saw: _Optional[_Iterable[_Union[SeenWord, _Mapping]]] = ..., not_saw: _Optional[_Iterable[_Union[SeenWord, _Mapping]]] = ..., limit: _Optional[int] = ...) -> None: ...

class CompareOutcomesResponse(_message.Message):
    __slots__ = ("succeeded", "failed", "words", "transitions", "partial")
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    TRANSITIONS_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_FIELD_NUMBER: _ClassVar[int]
    succeeded: int
    failed: int
    words: _containers.RepeatedCompositeFieldContainer[WordOutcome]
    transitions: _containers.RepeatedCompositeFieldContainer[TransitionOutcome]
    partial: bool
    def __init__(self, succeeded: _Optional[int] = ..., failed: _Optional[int] = ..., words: _Optional[_Iterable[_Union[WordOutcome, _Mapping]]] = ..., transitions: _Optional[_Iterable[_Union[TransitionOutcome, _Mapping]]] = ..., partial: bool = ...) -> None: ...

class WordOutcome(_message.Message):
    __slots__ = ("word", "of_succeeded", "of_failed")
    WORD_FIELD_NUMBER: _ClassVar[int]
    OF_SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    OF_FAILED_FIELD_NUMBER: _ClassVar[int]
    word: str
    of_succeeded: Share
    of_failed: Share
    def __init__(self, word: _Optional[str] = ..., of_succeeded: _Optional[_Union[Share, _Mapping]] = ..., of_failed: _Optional[_Union[Share, _Mapping]] = ...) -> None: ...

class TransitionOutcome(_message.Message):
    __slots__ = ("word", "next_word", "of_succeeded", "of_failed")
    WORD_FIELD_NUMBER: _ClassVar[int]
    NEXT_WORD_FIELD_NUMBER: _ClassVar[int]
    OF_SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    OF_FAILED_FIELD_NUMBER: _ClassVar[int]
    word: str
    next_word: str
    of_succeeded: Share
    of_failed: Share
    def __init__(self, word: _Optional[str] = ..., next_word: _Optional[str] = ..., of_succeeded: _Optional[_Union[Share, _Mapping]] = ..., of_failed: _Optional[_Union[Share, _Mapping]] = ...) -> None: ...

class Share(_message.Message):
    __slots__ = ("count", "total", "low", "high")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    count: int
    total: int
    low: float
    high: float
    def __init__(self, count: _Optional[int] = ..., total: _Optional[int] = ..., low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class DamagedEpisode(_message.Message):
    __slots__ = ("episode_id", "status")
    EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    episode_id: str
    status: Status
    def __init__(self, episode_id: _Optional[str] = ..., status: _Optional[_Union[Status, _Mapping]] = ...) -> None: ...

class GetMemoryRequest(_message.Message):
    __slots__ = ("episode_id", "from_step", "limit", "incarnation", "without_words")
    EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_STEP_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_WORDS_FIELD_NUMBER: _ClassVar[int]
    episode_id: str
    from_step: int
    limit: int
    incarnation: str
    without_words: bool
    def __init__(self, episode_id: _Optional[str] = ..., from_step: _Optional[int] = ..., limit: _Optional[int] = ..., incarnation: _Optional[str] = ..., without_words: bool = ...) -> None: ...

class GetMemoryResponse(_message.Message):
    __slots__ = ("steps", "incarnation", "branch")
    STEPS_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    steps: _containers.RepeatedCompositeFieldContainer[MemoryStep]
    incarnation: str
    branch: Branch
    def __init__(self, steps: _Optional[_Iterable[_Union[MemoryStep, _Mapping]]] = ..., incarnation: _Optional[str] = ..., branch: _Optional[_Union[Branch, _Mapping]] = ...) -> None: ...

class MemoryStep(_message.Message):
    __slots__ = ("step", "tokens", "action", "in_window", "time", "value")
    STEP_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    IN_WINDOW_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    step: int
    tokens: _containers.RepeatedCompositeFieldContainer[Token]
    action: Action
    in_window: bool
    time: _timestamp_pb2.Timestamp
    value: float
    def __init__(self, step: _Optional[int] = ..., tokens: _Optional[_Iterable[_Union[Token, _Mapping]]] = ..., action: _Optional[_Union[Action, _Mapping]] = ..., in_window: bool = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., value: _Optional[float] = ...) -> None: ...

class WatchMemoryRequest(_message.Message):
    __slots__ = ("episode_id", "from_step", "incarnation", "signs_of_life", "without_words")
    EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_STEP_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    SIGNS_OF_LIFE_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_WORDS_FIELD_NUMBER: _ClassVar[int]
    episode_id: str
    from_step: int
    incarnation: str
    signs_of_life: bool
    without_words: bool
    def __init__(self, episode_id: _Optional[str] = ..., from_step: _Optional[int] = ..., incarnation: _Optional[str] = ..., signs_of_life: bool = ..., without_words: bool = ...) -> None: ...

class WatchMemoryResponse(_message.Message):
    __slots__ = ("step", "incarnation")
    STEP_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    step: MemoryStep
    incarnation: str
    def __init__(self, step: _Optional[_Union[MemoryStep, _Mapping]] = ..., incarnation: _Optional[str] = ...) -> None: ...

class ExplainStepRequest(_message.Message):
    __slots__ = ("episode_id", "step", "observation", "max_steps")
    EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    MAX_STEPS_FIELD_NUMBER: _ClassVar[int]
    episode_id: str
    step: int
    observation: Image
    max_steps: int
    def __init__(self, episode_id: _Optional[str] = ..., step: _Optional[int] = ..., observation: _Optional[_Union[Image, _Mapping]] = ..., max_steps: _Optional[int] = ...) -> None: ...

class ExplainStepResponse(_message.Message):
    __slots__ = ("step", "action", "decision", "words", "steps", "reach_from_step")
    STEP_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    REACH_FROM_STEP_FIELD_NUMBER: _ClassVar[int]
    step: int
    action: Action
    decision: Decision
    words: _containers.RepeatedCompositeFieldContainer[Influence]
    steps: _containers.RepeatedCompositeFieldContainer[Influence]
    reach_from_step: int
    def __init__(self, step: _Optional[int] = ..., action: _Optional[_Union[Action, _Mapping]] = ..., decision: _Optional[_Union[Decision, _Mapping]] = ..., words: _Optional[_Iterable[_Union[Influence, _Mapping]]] = ..., steps: _Optional[_Iterable[_Union[Influence, _Mapping]]] = ..., reach_from_step: _Optional[int] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("probabilities", "most_probable", "value")
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    MOST_PROBABLE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    most_probable: Action
    value: float
    def __init__(self, probabilities: _Optional[_Iterable[float]] = ..., most_probable: _Optional[_Union[Action, _Mapping]] = ..., value: _Optional[float] = ...) -> None: ...

class Influence(_message.Message):
    __slots__ = ("tokens", "steps", "change", "without")
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_FIELD_NUMBER: _ClassVar[int]
    tokens: _containers.RepeatedCompositeFieldContainer[Token]
    steps: _containers.RepeatedScalarFieldContainer[int]
    change: float
    without: Decision
    def __init__(self, tokens: _Optional[_Iterable[_Union[Token, _Mapping]]] = ..., steps: _Optional[_Iterable[int]] = ..., change: _Optional[float] = ..., without: _Optional[_Union[Decision, _Mapping]] = ...) -> None: ...

class WhatIfRequest(_message.Message):
    __slots__ = ("episode_id", "step", "observation", "alternatives")
    EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    ALTERNATIVES_FIELD_NUMBER: _ClassVar[int]
    episode_id: str
    step: int
    observation: Image
    alternatives: _containers.RepeatedCompositeFieldContainer[Alternative]
    def __init__(self, episode_id: _Optional[str] = ..., step: _Optional[int] = ..., observation: _Optional[_Union[Image, _Mapping]] = ..., alternatives: _Optional[_Iterable[_Union[Alternative, _Mapping]]] = ...) -> None: ...

class Alternative(_message.Message):
    __slots__ = ("edits", "agent")
    EDITS_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    edits: _containers.RepeatedCompositeFieldContainer[Edit]
    agent: str
    def __init__(self, edits: _Optional[_Iterable[_Union[Edit, _Mapping]]] = ..., agent: _Optional[str] = ...) -> None: ...

class Edit(_message.Message):
    __slots__ = ("remove", "replace", "insert", "swap")
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    INSERT_FIELD_NUMBER: _ClassVar[int]
    SWAP_FIELD_NUMBER: _ClassVar[int]
    remove: RemoveWord
    replace: ReplaceWord
    insert: InsertWord
    swap: SwapWords
    def __init__(self, remove: _Optional[_Union[RemoveWord, _Mapping]] = ..., replace: _Optional[_Union[ReplaceWord, _Mapping]] = ..., insert: _Optional[_Union[InsertWord, _Mapping]] = ..., swap: _Optional[_Union[SwapWords, _Mapping]] = ...) -> None: ...

class RemoveWord(_message.Message):
    __slots__ = ("step", "word")
    STEP_FIELD_NUMBER: _ClassVar[int]
    WORD_FIELD_NUMBER: _ClassVar[int]
    step: int
    word: str
    def __init__(self, step: _Optional[int] = ..., word: _Optional[str] = ...) -> None: ...

class ReplaceWord(_message.Message):
    __slots__ = ("step", "word", "replacement")
    STEP_FIELD_NUMBER: _ClassVar[int]
    WORD_FIELD_NUMBER: _ClassVar[int]
    REPLACEMENT_FIELD_NUMBER: _ClassVar[int]
    step: int
    word: str
    replacement: str
    def __init__(self, step: _Optional[int] = ..., word: _Optional[str] = ..., replacement: _Optional[str] = ...) -> None: ...

class InsertWord(_message.Message):
    __slots__ = ("step", "word")
    STEP_FIELD_NUMBER: _ClassVar[int]
    WORD_FIELD_NUMBER: _ClassVar[int]
    step: int
    word: str
    def __init__(self, step: _Optional[int] = ..., word: _Optional[str] = ...) -> None: ...

class SwapWords(_message.Message):
    __slots__ = ("word", "other")
    WORD_FIELD_NUMBER: _ClassVar[int]
    OTHER_FIELD_NUMBER: _ClassVar[int]
    word: str
    other: str
    def __init__(self, word: _Optional[str] = ..., other: _Optional[str] = ...) -> None: ...

class WhatIfResponse(_message.Message):
    __slots__ = ("step", "action", "actual", "alternatives", "reach_from_step")
    STEP_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    ACTUAL_FIELD_NUMBER: _ClassVar[int]
    ALTERNATIVES_FIELD_NUMBER: _ClassVar[int]
    REACH_FROM_STEP_FIELD_NUMBER: _ClassVar[int]
    step: int
    action: Action
    actual: Outcome
    alternatives: _containers.RepeatedCompositeFieldContainer[Outcome]
    reach_from_step: int
    def __init__(self, step: _Optional[int] = ..., action: _Optional[_Union[Action, _Mapping]] = ..., actual: _Optional[_Union[Outcome, _Mapping]] = ..., alternatives: _Optional[_Iterable[_Union[Outcome, _Mapping]]] = ..., reach_from_step: _Optional[int] = ...) -> None: ...

class Outcome(_message.Message):
    __slots__ = ("distribution", "most_probable", "value", "change", "words")
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    MOST_PROBABLE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    distribution: ActionDistribution
    most_probable: Action
    value: float
    change: float
    words: _containers.RepeatedCompositeFieldContainer[StepWords]
    def __init__(self, distribution: _Optional[_Union[ActionDistribution, _Mapping]] = ..., most_probable: _Optional[_Union[Action, _Mapping]] = ..., value: _Optional[float] = ..., change: _Optional[float] = ..., words: _Optional[_Iterable[_Union[StepWords, _Mapping]]] = ...) -> None: ...

class StepWords(_message.Message):
    __slots__ = ("step", "tokens")
    STEP_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    step: int
    tokens: _containers.RepeatedCompositeFieldContainer[Token]
    def __init__(self, step: _Optional[int] = ..., tokens: _Optional[_Iterable[_Union[Token, _Mapping]]] = ...) -> None: ...

class ActionDistribution(_message.Message):
    __slots__ = ("probabilities", "normal", "dict", "entropy")
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    NORMAL_FIELD_NUMBER: _ClassVar[int]
    DICT_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_FIELD_NUMBER: _ClassVar[int]
    probabilities: FloatVector
    normal: NormalDistribution
    dict: DictDistribution
    entropy: float
    def __init__(self, probabilities: _Optional[_Union[FloatVector, _Mapping]] = ..., normal: _Optional[_Union[NormalDistribution, _Mapping]] = ..., dict: _Optional[_Union[DictDistribution, _Mapping]] = ..., entropy: _Optional[float] = ...) -> None: ...

class NormalDistribution(_message.Message):
    __slots__ = ("mean", "deviation")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    DEVIATION_FIELD_NUMBER: _ClassVar[int]
    mean: _containers.RepeatedScalarFieldContainer[float]
    deviation: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, mean: _Optional[_Iterable[float]] = ..., deviation: _Optional[_Iterable[float]] = ...) -> None: ...

class DictDistribution(_message.Message):
    __slots__ = ("parts",)
    PARTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[NamedDistribution]
    def __init__(self, parts: _Optional[_Iterable[_Union[NamedDistribution, _Mapping]]] = ...) -> None: ...

class NamedDistribution(_message.Message):
    __slots__ = ("name", "distribution")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    name: str
    distribution: ActionDistribution
    def __init__(self, name: _Optional[str] = ..., distribution: _Optional[_Union[ActionDistribution, _Mapping]] = ...) -> None: ...

class GetFrameRequest(_message.Message):
    __slots__ = ("episode_id", "step")
    EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    episode_id: str
    step: int
    def __init__(self, episode_id: _Optional[str] = ..., step: _Optional[int] = ...) -> None: ...

class GetFrameResponse(_message.Message):
    __slots__ = ("frame",)
    FRAME_FIELD_NUMBER: _ClassVar[int]
    frame: Image
    def __init__(self, frame: _Optional[_Union[Image, _Mapping]] = ...) -> None: ...

class ObservationSpec(_message.Message):
    __slots__ = ("height", "width", "channels", "stacked")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    STACKED_FIELD_NUMBER: _ClassVar[int]
    height: int
    width: int
    channels: int
    stacked: int
    def __init__(self, height: _Optional[int] = ..., width: _Optional[int] = ..., channels: _Optional[int] = ..., stacked: _Optional[int] = ...) -> None: ...

class ActionSpace(_message.Message):
    __slots__ = ("discrete", "continuous", "dict", "names", "low", "high")
    DISCRETE_FIELD_NUMBER: _ClassVar[int]
    CONTINUOUS_FIELD_NUMBER: _ClassVar[int]
    DICT_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    discrete: int
    continuous: int
    dict: DictActionSpace
    names: _containers.RepeatedScalarFieldContainer[str]
    low: FloatVector
    high: FloatVector
    def __init__(self, discrete: _Optional[int] = ..., continuous: _Optional[int] = ..., dict: _Optional[_Union[DictActionSpace, _Mapping]] = ..., names: _Optional[_Iterable[str]] = ..., low: _Optional[_Union[FloatVector, _Mapping]] = ..., high: _Optional[_Union[FloatVector, _Mapping]] = ...) -> None: ...

class DictActionSpace(_message.Message):
    __slots__ = ("parts",)
    PARTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[NamedActionSpace]
    def __init__(self, parts: _Optional[_Iterable[_Union[NamedActionSpace, _Mapping]]] = ...) -> None: ...

class NamedActionSpace(_message.Message):
    __slots__ = ("name", "space")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    name: str
    space: ActionSpace
    def __init__(self, name: _Optional[str] = ..., space: _Optional[_Union[ActionSpace, _Mapping]] = ...) -> None: ...

class Agent(_message.Message):
    __slots__ = ("name", "digest", "description", "observation", "action_space", "window", "tokens_per_step", "vocabulary_size", "environments", "default")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    ACTION_SPACE_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_STEP_FIELD_NUMBER: _ClassVar[int]
    VOCABULARY_SIZE_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENTS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    description: str
    observation: ObservationSpec
    action_space: ActionSpace
    window: int
    tokens_per_step: int
    vocabulary_size: int
    environments: _containers.RepeatedScalarFieldContainer[str]
    default: bool
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., description: _Optional[str] = ..., observation: _Optional[_Union[ObservationSpec, _Mapping]] = ..., action_space: _Optional[_Union[ActionSpace, _Mapping]] = ..., window: _Optional[int] = ..., tokens_per_step: _Optional[int] = ..., vocabulary_size: _Optional[int] = ..., environments: _Optional[_Iterable[str]] = ..., default: bool = ...) -> None: ...

class ListAgentsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListAgentsResponse(_message.Message):
    __slots__ = ("agents",)
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    agents: _containers.RepeatedCompositeFieldContainer[Agent]
    def __init__(self, agents: _Optional[_Iterable[_Union[Agent, _Mapping]]] = ...) -> None: ...

class GetAgentRequest(_message.Message):
    __slots__ = ("agent", "details")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    agent: str
    details: bool
    def __init__(self, agent: _Optional[str] = ..., details: bool = ...) -> None: ...

class GetAgentResponse(_message.Message):
    __slots__ = ("agent", "details")
    AGENT_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    agent: Agent
    details: AgentDetails
    def __init__(self, agent: _Optional[_Union[Agent, _Mapping]] = ..., details: _Optional[_Union[AgentDetails, _Mapping]] = ...) -> None: ...

class AgentDetails(_message.Message):
    __slots__ = ("card", "vocabulary", "language_model")
    CARD_FIELD_NUMBER: _ClassVar[int]
    VOCABULARY_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_MODEL_FIELD_NUMBER: _ClassVar[int]
    card: str
    vocabulary: _containers.RepeatedScalarFieldContainer[str]
    language_model: LanguageModel
    def __init__(self, card: _Optional[str] = ..., vocabulary: _Optional[_Iterable[str]] = ..., language_model: _Optional[_Union[LanguageModel, _Mapping]] = ...) -> None: ...

class LanguageModel(_message.Message):
    __slots__ = ("kind", "source", "layers", "dimension")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    kind: str
    source: str
    layers: int
    dimension: int
    def __init__(self, kind: _Optional[str] = ..., source: _Optional[str] = ..., layers: _Optional[int] = ..., dimension: _Optional[int] = ...) -> None: ...
