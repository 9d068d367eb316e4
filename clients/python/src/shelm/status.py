"""Turns gRPC failures and per-item statuses into the errors of `shelm.errors`.

Reads google.rpc ErrorInfo (domain "shelm"), BadRequest and RetryInfo from `grpc-status-details-bin`, and
`grpc-retry-pushback-ms`. Details that cannot be read are ignored: the code alone still gives the right class.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from shelm import errors
from shelm.handshake import handshake_error
from shelm.proxy import proxy_error
from shelm.v1 import agent_pb2, errors_pb2

DOMAIN = "shelm"
CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

# Reasons with a class that knows what to do in Python; the others have the advice of errors.proto.
BY_REASON: dict[str, type[errors.ShelmError]] = {
    "STEP_CONFLICT": errors.StepConflict,
    "COMMIT_CONFLICT": errors.CommitConflict,
    "STEP_TOO_OLD": errors.StepTooOld,
    "STEP_GAP": errors.StepGap,
    "EPISODE_ENDED": errors.EpisodeEnded,
    "AGENT_MISMATCH": errors.AgentMismatch,
    "FRAME_NEEDED": errors.FrameNeeded,
    "FRAME_NOT_RECORDED": errors.FrameNotRecorded,
    "RECORDING_OFF": errors.RecordingOff,
    "AGENT_KEEPS_NO_WORDS": errors.AgentKeepsNoWords,
    "EPISODE_NOT_FOUND": errors.EpisodeNotFound,
    "AGENT_NOT_FOUND": errors.AgentNotFound,
    "EPISODE_EXISTS": errors.AlreadyExists,
    "INVALID_FIELD": errors.InvalidArgument,
    "QUEUE_FULL": errors.Overloaded,
    "DEADLINE": errors.DeadlineExceeded,
    "UNAUTHENTICATED": errors.Unauthenticated,
    "PERMISSION_DENIED": errors.PermissionDenied,
}
_RULE: Any = errors_pb2.rule
# What errors.proto says of each reason.
RULES: dict[str, errors_pb2.ErrorRule] = {
    value.name[len("ERROR_REASON_") :]: value.GetOptions().Extensions[_RULE]
    for value in errors_pb2.ErrorReason.DESCRIPTOR.values
    if value.number
}
BY_CODE: dict[grpc.StatusCode, type[errors.ShelmError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidArgument,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyExists,
    grpc.StatusCode.ABORTED: errors.StepConflict,
    grpc.StatusCode.FAILED_PRECONDITION: errors.FailedPrecondition,
    grpc.StatusCode.OUT_OF_RANGE: errors.StepTooOld,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.Overloaded,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.CANCELLED: errors.Unavailable,  # not by the caller: the server dropped the call, or stopped
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
}


# Codes that may help to repeat a call where the server gave no reason.
PASSING = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}


def error_from_call(failure: grpc.RpcError, *, target: str) -> errors.ShelmError:
    """Returns the error that a failed call means."""
    call = cast(grpc.Call, failure)  # what grpc raises is both
    trailers = dict(list(call.trailing_metadata() or ()))  # as pairs: the keys() of an older grpc.aio's metadata are wrong
    status = _parse(trailers.get("grpc-status-details-bin", b""))
    message = call.details() or call.code().name
    if not status.details and (error := proxy_error(call.code(), message, target=target)):
        return error
    if not status.details and (unsafe := handshake_error(call.code(), message, target=target)):
        return unsafe
    if call.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED} and not status.details:
        message = f"no answer from {target}: {message}"
    return _error(call.code(), message, status.details, pushback=trailers.get("grpc-retry-pushback-ms"))


def error_from_status(status: agent_pb2.Status) -> errors.ShelmError:
    """Returns the error that the status of one item of a batch means."""
    return _error(CODES.get(status.code, grpc.StatusCode.UNKNOWN), status.message, status.details)


def _error(code: grpc.StatusCode, message: str, details: Iterable[AnyMessage], *, pushback: Any = None) -> errors.ShelmError:
    fields = _read(details)
    reason = fields.get("reason", "")
    refused, delay = _pushback(pushback)
    if delay is not None:
        fields["retry_after"] = delay
    retryable = not refused and _retryable(code, reason, fields.get("retry_after"))
    if reason in BY_REASON:
        return BY_REASON[reason](message, code=code, retryable=retryable, **fields)
    kind = BY_CODE.get(code, errors.ShelmError)
    advice = RULES[reason].advice if reason in RULES else None
    return kind(message, code=code, retryable=retryable, advice=advice, **fields)


def _retryable(code: grpc.StatusCode, reason: str, retry_after: float | None) -> bool:
    if reason in RULES:
        return RULES[reason].retryable
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:  # without either it is gRPC itself: a message too large, for ever
        return bool(reason) or retry_after is not None
    return code in PASSING


def _pushback(value: Any) -> tuple[bool, float | None]:
    """Returns (the server forbids a retry, seconds to wait); as gRPC defines it, anything but a number >= 0 forbids."""
    if value is None:
        return False, None
    text = value.decode() if isinstance(value, bytes) else str(value)
    return (False, int(text) / 1000) if text.isdecimal() else (True, None)


def _parse(data: str | bytes) -> status_pb2.Status:
    status = status_pb2.Status()
    try:
        status.ParseFromString(data if isinstance(data, bytes) else data.encode())
    except DecodeError:
        return status_pb2.Status()
    return status


def _read(details: Iterable[AnyMessage]) -> dict[str, Any]:
    """Returns those keyword arguments of ShelmError that the details hold."""
    fields: dict[str, Any] = {}
    for detail in details:
        try:
            fields |= _read_one(detail)
        except DecodeError:
            continue
    return fields


def _read_one(detail: AnyMessage) -> dict[str, Any]:
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    if detail.Unpack(info) and info.domain == DOMAIN:
        return {"reason": info.reason, "metadata": dict(info.metadata)}
    if detail.Unpack(bad):
        return {"field_violations": [errors.FieldViolation(v.field, v.description) for v in bad.field_violations]}
    if detail.Unpack(retry):
        return {"retry_after": retry.retry_delay.ToNanoseconds() / 1e9}
    return {}
