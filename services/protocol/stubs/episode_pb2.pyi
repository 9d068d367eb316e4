from google.protobuf import timestamp_pb2 as _timestamp_pb2
from shelm.v1 import agent_pb2 as _agent_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CommittedStep(_message.Message):
    __slots__ = ("tokens", "action", "value", "log_prob", "frame_fingerprint", "history_digest", "time")
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LOG_PROB_FIELD_NUMBER: _ClassVar[int]
    FRAME_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    HISTORY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    tokens: _containers.RepeatedCompositeFieldContainer[_agent_pb2.Token]
    action: _agent_pb2.Action
    value: float
    log_prob: float
    frame_fingerprint: bytes
    history_digest: bytes
    time: _timestamp_pb2.Timestamp
    def __init__(self, tokens: _Optional[_Iterable[_Union[_agent_pb2.Token, _Mapping]]] = ..., action: _Optional[_Union[_agent_pb2.Action, _Mapping]] = ..., value: _Optional[float] = ..., log_prob: _Optional[float] = ..., frame_fingerprint: _Optional[bytes] = ..., history_digest: _Optional[bytes] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class BranchRecord(_message.Message):
    __slots__ = ("branch", "tokens_per_step", "word_counts")
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_STEP_FIELD_NUMBER: _ClassVar[int]
    WORD_COUNTS_FIELD_NUMBER: _ClassVar[int]
    branch: _agent_pb2.Branch
    tokens_per_step: int
    word_counts: _containers.RepeatedCompositeFieldContainer[WordCount]
    def __init__(self, branch: _Optional[_Union[_agent_pb2.Branch, _Mapping]] = ..., tokens_per_step: _Optional[int] = ..., word_counts: _Optional[_Iterable[_Union[WordCount, _Mapping]]] = ...) -> None: ...

class WordCount(_message.Message):
    __slots__ = ("step", "words")
    STEP_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    step: int
    words: int
    def __init__(self, step: _Optional[int] = ..., words: _Optional[int] = ...) -> None: ...

class ArchivedEpisode(_message.Message):
    __slots__ = ("episode", "first_step", "steps", "branch")
    EPISODE_FIELD_NUMBER: _ClassVar[int]
    FIRST_STEP_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    BRANCH_FIELD_NUMBER: _ClassVar[int]
    episode: _agent_pb2.Episode
    first_step: int
    steps: _containers.RepeatedCompositeFieldContainer[CommittedStep]
    branch: BranchRecord
    def __init__(self, episode: _Optional[_Union[_agent_pb2.Episode, _Mapping]] = ..., first_step: _Optional[int] = ..., steps: _Optional[_Iterable[_Union[CommittedStep, _Mapping]]] = ..., branch: _Optional[_Union[BranchRecord, _Mapping]] = ...) -> None: ...
