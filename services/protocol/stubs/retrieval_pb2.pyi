from shelm.v1 import agent_pb2 as _agent_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RetrieveRequest(_message.Message):
    __slots__ = ("agent_digest", "frames", "fingerprints")
    AGENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINTS_FIELD_NUMBER: _ClassVar[int]
    agent_digest: str
    frames: _containers.RepeatedCompositeFieldContainer[_agent_pb2.Image]
    fingerprints: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, agent_digest: _Optional[str] = ..., frames: _Optional[_Iterable[_Union[_agent_pb2.Image, _Mapping]]] = ..., fingerprints: _Optional[_Iterable[bytes]] = ...) -> None: ...

class RetrievedWords(_message.Message):
    __slots__ = ("tokens",)
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    tokens: _containers.RepeatedCompositeFieldContainer[_agent_pb2.Token]
    def __init__(self, tokens: _Optional[_Iterable[_Union[_agent_pb2.Token, _Mapping]]] = ...) -> None: ...

class RetrieveResult(_message.Message):
    __slots__ = ("words", "status")
    WORDS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    words: RetrievedWords
    status: _agent_pb2.Status
    def __init__(self, words: _Optional[_Union[RetrievedWords, _Mapping]] = ..., status: _Optional[_Union[_agent_pb2.Status, _Mapping]] = ...) -> None: ...

class RetrieveResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[RetrieveResult]
    def __init__(self, results: _Optional[_Iterable[_Union[RetrieveResult, _Mapping]]] = ...) -> None: ...

class GetVocabularyRequest(_message.Message):
    __slots__ = ("agent_digest", "page_size", "page_token")
    AGENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    agent_digest: str
    page_size: int
    page_token: str
    def __init__(self, agent_digest: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class VocabularyWord(_message.Message):
    __slots__ = ("id", "text", "language_model_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    id: int
    text: str
    language_model_id: int
    def __init__(self, id: _Optional[int] = ..., text: _Optional[str] = ..., language_model_id: _Optional[int] = ...) -> None: ...

class GetVocabularyResponse(_message.Message):
    __slots__ = ("words", "next_page_token", "total_size")
    WORDS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    words: _containers.RepeatedCompositeFieldContainer[VocabularyWord]
    next_page_token: str
    total_size: int
    def __init__(self, words: _Optional[_Iterable[_Union[VocabularyWord, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ...) -> None: ...
