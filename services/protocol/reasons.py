"""Makes errors with a reason of errors.proto, which also gives their gRPC code."""

from collections.abc import Mapping
from typing import Any

import grpc
from shelm.v1 import errors_pb2
from shelm.v1.errors_pb2 import ErrorReason

from services.runtime.errors import ServiceError

DOMAIN = "shelm"  # of google.rpc.ErrorInfo
PREFIX = "ERROR_REASON_"


def reason_name(reason: ErrorReason) -> str:
    """The reason as ErrorInfo has it: the enum's name for it without the prefix."""
    return ErrorReason.Name(reason).removeprefix(PREFIX)


_RULE: Any = errors_pb2.rule
# By reason, but for the unspecified one, which is never sent.
CODES: Mapping[str, grpc.StatusCode] = {
    value.name.removeprefix(PREFIX): grpc.StatusCode[value.GetOptions().Extensions[_RULE].code]
    for value in ErrorReason.DESCRIPTOR.values
    if value.number
}


def failure(
    reason: ErrorReason,
    message: str,
    *,
    metadata: Mapping[str, str] | None = None,
    field: str = "",
    retry_after: float | None = None,
) -> ServiceError:
    """The error for a reason. field: path of the request field to blame. retry_after: seconds until a retry makes sense."""
    name = reason_name(reason)
    return ServiceError(CODES[name], name, message, metadata=metadata, field=field, retry_after=retry_after)
