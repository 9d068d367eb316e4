from shelm.v1 import agent_pb2 as _agent_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RememberItem(_message.Message):
    __slots__ = ("episode_id", "step", "agent_digest", "word_ids", "history_digest", "length")
    EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    AGENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    WORD_IDS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    episode_id: str
    step: int
    agent_digest: str
    word_ids: _containers.RepeatedScalarFieldContainer[int]
    history_digest: bytes
    length: int
    def __init__(self, episode_id: _Optional[str] = ..., step: _Optional[int] = ..., agent_digest: _Optional[str] = ..., word_ids: _Optional[_Iterable[int]] = ..., history_digest: _Optional[bytes] = ..., length: _Optional[int] = ...) -> None: ...

class RememberRequest(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[RememberItem]
    def __init__(self, items: _Optional[_Iterable[_Union[RememberItem, _Mapping]]] = ...) -> None: ...

class Remembered(_message.Message):
    __slots__ = ("vector", "history_digest", "rebuilt")
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    HISTORY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REBUILT_FIELD_NUMBER: _ClassVar[int]
    vector: bytes
    history_digest: bytes
    rebuilt: bool
    def __init__(self, vector: _Optional[bytes] = ..., history_digest: _Optional[bytes] = ..., rebuilt: bool = ...) -> None: ...

class RememberResult(_message.Message):
    __slots__ = ("remembered", "status")
    REMEMBERED_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    remembered: Remembered
    status: _agent_pb2.Status
    def __init__(self, remembered: _Optional[_Union[Remembered, _Mapping]] = ..., status: _Optional[_Union[_agent_pb2.Status, _Mapping]] = ...) -> None: ...

class RememberResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[RememberResult]
    def __init__(self, results: _Optional[_Iterable[_Union[RememberResult, _Mapping]]] = ...) -> None: ...

class EncodeHistoriesRequest(_message.Message):
    __slots__ = ("agent_digest", "histories")
    AGENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    HISTORIES_FIELD_NUMBER: _ClassVar[int]
    agent_digest: str
    histories: _containers.RepeatedCompositeFieldContainer[History]
    def __init__(self, agent_digest: _Optional[str] = ..., histories: _Optional[_Iterable[_Union[History, _Mapping]]] = ...) -> None: ...

class History(_message.Message):
    __slots__ = ("word_ids",)
    WORD_IDS_FIELD_NUMBER: _ClassVar[int]
    word_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, word_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class EncodeHistoriesResponse(_message.Message):
    __slots__ = ("vectors",)
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    vectors: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, vectors: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ForgetRequest(_message.Message):
    __slots__ = ("episode_ids",)
    EPISODE_IDS_FIELD_NUMBER: _ClassVar[int]
    episode_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, episode_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ForgetResponse(_message.Message):
    __slots__ = ("dropped",)
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    dropped: int
    def __init__(self, dropped: _Optional[int] = ...) -> None: ...

class GetMemoryStatsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AgentMemoryStats(_message.Message):
    __slots__ = ("agent_digest", "slots", "used", "hits", "repeats", "rebuilds", "evictions", "dtype")
    AGENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    REPEATS_FIELD_NUMBER: _ClassVar[int]
    REBUILDS_FIELD_NUMBER: _ClassVar[int]
    EVICTIONS_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    agent_digest: str
    slots: int
    used: int
    hits: int
    repeats: int
    rebuilds: int
    evictions: int
    dtype: str
    def __init__(self, agent_digest: _Optional[str] = ..., slots: _Optional[int] = ..., used: _Optional[int] = ..., hits: _Optional[int] = ..., repeats: _Optional[int] = ..., rebuilds: _Optional[int] = ..., evictions: _Optional[int] = ..., dtype: _Optional[str] = ...) -> None: ...

class GetMemoryStatsResponse(_message.Message):
    __slots__ = ("agents",)
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    agents: _containers.RepeatedCompositeFieldContainer[AgentMemoryStats]
    def __init__(self, agents: _Optional[_Iterable[_Union[AgentMemoryStats, _Mapping]]] = ...) -> None: ...
