from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_FIELD: _ClassVar[ErrorReason]
    ERROR_REASON_MALFORMED_MESSAGE: _ClassVar[ErrorReason]
    ERROR_REASON_EPISODE_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_AGENT_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_EPISODE_EXISTS: _ClassVar[ErrorReason]
    ERROR_REASON_STEP_CONFLICT: _ClassVar[ErrorReason]
    ERROR_REASON_COMMIT_CONFLICT: _ClassVar[ErrorReason]
    ERROR_REASON_STEP_TOO_OLD: _ClassVar[ErrorReason]
    ERROR_REASON_STEP_GAP: _ClassVar[ErrorReason]
    ERROR_REASON_EPISODE_ENDED: _ClassVar[ErrorReason]
    ERROR_REASON_STEP_NOT_COMMITTED: _ClassVar[ErrorReason]
    ERROR_REASON_FRAME_NEEDED: _ClassVar[ErrorReason]
    ERROR_REASON_RECORDING_OFF: _ClassVar[ErrorReason]
    ERROR_REASON_FRAME_NOT_RECORDED: _ClassVar[ErrorReason]
    ERROR_REASON_AGENT_MISMATCH: _ClassVar[ErrorReason]
    ERROR_REASON_AGENT_NOT_LOADED: _ClassVar[ErrorReason]
    ERROR_REASON_QUEUE_FULL: _ClassVar[ErrorReason]
    ERROR_REASON_TOO_MANY_WATCHERS: _ClassVar[ErrorReason]
    ERROR_REASON_STORE_UNAVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_RETRIEVAL_UNAVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_MEMORY_UNAVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_REPLICA_AWAY: _ClassVar[ErrorReason]
    ERROR_REASON_MODEL_UNAVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_MODEL_FAILED: _ClassVar[ErrorReason]
    ERROR_REASON_RECORDINGS_UNAVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_DEADLINE: _ClassVar[ErrorReason]
    ERROR_REASON_UNAUTHENTICATED: _ClassVar[ErrorReason]
    ERROR_REASON_PERMISSION_DENIED: _ClassVar[ErrorReason]
    ERROR_REASON_INTERNAL: _ClassVar[ErrorReason]
    ERROR_REASON_HISTORY_MISMATCH: _ClassVar[ErrorReason]
    ERROR_REASON_API_UNAVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_TOO_MANY_VIEWERS: _ClassVar[ErrorReason]
    ERROR_REASON_OPEN_API: _ClassVar[ErrorReason]
    ERROR_REASON_EPISODE_DAMAGED: _ClassVar[ErrorReason]
    ERROR_REASON_STORE_FULL: _ClassVar[ErrorReason]
    ERROR_REASON_SERVER_STOPPING: _ClassVar[ErrorReason]
    ERROR_REASON_ARCHIVE_UNAVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_ARCHIVE_OFF: _ClassVar[ErrorReason]
    ERROR_REASON_TENANT_QUOTA: _ClassVar[ErrorReason]
    ERROR_REASON_CROSS_SITE: _ClassVar[ErrorReason]
    ERROR_REASON_AGENT_KEEPS_NO_WORDS: _ClassVar[ErrorReason]
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_INVALID_FIELD: ErrorReason
ERROR_REASON_MALFORMED_MESSAGE: ErrorReason
ERROR_REASON_EPISODE_NOT_FOUND: ErrorReason
ERROR_REASON_AGENT_NOT_FOUND: ErrorReason
ERROR_REASON_EPISODE_EXISTS: ErrorReason
ERROR_REASON_STEP_CONFLICT: ErrorReason
ERROR_REASON_COMMIT_CONFLICT: ErrorReason
ERROR_REASON_STEP_TOO_OLD: ErrorReason
ERROR_REASON_STEP_GAP: ErrorReason
ERROR_REASON_EPISODE_ENDED: ErrorReason
ERROR_REASON_STEP_NOT_COMMITTED: ErrorReason
ERROR_REASON_FRAME_NEEDED: ErrorReason
ERROR_REASON_RECORDING_OFF: ErrorReason
ERROR_REASON_FRAME_NOT_RECORDED: ErrorReason
ERROR_REASON_AGENT_MISMATCH: ErrorReason
ERROR_REASON_AGENT_NOT_LOADED: ErrorReason
ERROR_REASON_QUEUE_FULL: ErrorReason
ERROR_REASON_TOO_MANY_WATCHERS: ErrorReason
ERROR_REASON_STORE_UNAVAILABLE: ErrorReason
ERROR_REASON_RETRIEVAL_UNAVAILABLE: ErrorReason
ERROR_REASON_MEMORY_UNAVAILABLE: ErrorReason
ERROR_REASON_REPLICA_AWAY: ErrorReason
ERROR_REASON_MODEL_UNAVAILABLE: ErrorReason
ERROR_REASON_MODEL_FAILED: ErrorReason
ERROR_REASON_RECORDINGS_UNAVAILABLE: ErrorReason
ERROR_REASON_DEADLINE: ErrorReason
ERROR_REASON_UNAUTHENTICATED: ErrorReason
ERROR_REASON_PERMISSION_DENIED: ErrorReason
ERROR_REASON_INTERNAL: ErrorReason
ERROR_REASON_HISTORY_MISMATCH: ErrorReason
ERROR_REASON_API_UNAVAILABLE: ErrorReason
ERROR_REASON_TOO_MANY_VIEWERS: ErrorReason
ERROR_REASON_OPEN_API: ErrorReason
ERROR_REASON_EPISODE_DAMAGED: ErrorReason
ERROR_REASON_STORE_FULL: ErrorReason
ERROR_REASON_SERVER_STOPPING: ErrorReason
ERROR_REASON_ARCHIVE_UNAVAILABLE: ErrorReason
ERROR_REASON_ARCHIVE_OFF: ErrorReason
ERROR_REASON_TENANT_QUOTA: ErrorReason
ERROR_REASON_CROSS_SITE: ErrorReason
ERROR_REASON_AGENT_KEEPS_NO_WORDS: ErrorReason
RULE_FIELD_NUMBER: _ClassVar[int]
rule: _descriptor.FieldDescriptor

class ErrorRule(_message.Message):
    __slots__ = ("code", "retryable", "advice")
    CODE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    code: str
    retryable: bool
    advice: str
    def __init__(self, code: _Optional[str] = ..., retryable: bool = ..., advice: _Optional[str] = ...) -> None: ...
