"""`ServiceError`: the errors that callers are told about, and their form on the wire (google.rpc details).

Contract: `ServiceError` carries a gRPC code, a stable reason and a text for people. On the wire it is a google.rpc.Status
with ErrorInfo, with BadRequest if a field is to blame, and with RetryInfo (and gRPC's retry push-back) if waiting helps.
No traceback ever crosses the wire.
"""

import time
from collections.abc import Mapping
from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

Context = grpc.aio.ServicerContext[Any, Any]
DETAILS_KEY = "grpc-status-details-bin"
STOPPING_RETRY = 0.5  # seconds; by then a server that stops has seen no call for a while, and closed its connections


def deadline_of(context: Context) -> float | None:
    """When the caller gives up, in `time.monotonic`; None if it waits for ever."""
    left = context.time_remaining()
    return None if left is None else time.monotonic() + left


class ServiceError(Exception):
    """A failure that the caller is told about."""

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        field: str = "",
        retry_after: float | None = None,
    ) -> None:
        """field: path of the request field to blame. retry_after: seconds after which a retry makes sense."""
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.metadata, self.field, self.retry_after = dict(metadata or {}), field, retry_after

    def within(self, prefix: str) -> "ServiceError":
        """The same error with its field inside `prefix`, for items of a batch."""
        field = f"{prefix}.{self.field}" if self.field else ""
        message = self.message.replace(self.field, field, 1) if field else self.message
        return ServiceError(
            self.code, self.reason, message, metadata=self.metadata, field=field, retry_after=self.retry_after
        )


def invalid(field: str, problem: str) -> ServiceError:
    """INVALID_ARGUMENT that names the field, what was expected and what was given."""
    return ServiceError(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", f"{field}: {problem}", field=field)


def queue_full(name: str, retry_after: float = 0.1) -> ServiceError:
    """RESOURCE_EXHAUSTED with push-back."""
    text = f"the {name} queue is full; retry after {retry_after:.1f} s"
    return ServiceError(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", text, retry_after=retry_after)


def too_many(what: str, most: int, retry_after: float = 0.2) -> ServiceError:
    """RESOURCE_EXHAUSTED with push-back: the caller itself has as many calls under way as it may."""
    text = f"{most} {what} of yours are under way, as many as allowed; retry after {retry_after:.1f} s"
    return ServiceError(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", text, retry_after=retry_after)


def server_stopping() -> ServiceError:
    """UNAVAILABLE with push-back: the server ends, and takes no new work while what is under way ends."""
    text = f"the server is stopping; retry after {STOPPING_RETRY:.1f} s, at another replica or at the one that follows"
    return ServiceError(grpc.StatusCode.UNAVAILABLE, "SERVER_STOPPING", text, retry_after=STOPPING_RETRY)


def deadline_passed() -> ServiceError:
    """DEADLINE_EXCEEDED before anything was computed."""
    return ServiceError(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE", "the caller's deadline passed before the work began")


def message_late(seconds: float) -> ServiceError:
    """DEADLINE_EXCEEDED: the call began, and its message has not come."""
    text = f"the message of the call had not arrived after {seconds:g} s"
    return ServiceError(grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE", text)


def check_deadline(deadline: float | None) -> None:
    """Raises `deadline_passed` if there is a deadline, of `time.monotonic`, and it has passed."""
    if deadline is not None and deadline <= time.monotonic():
        raise deadline_passed()


def to_status(error: ServiceError, domain: str) -> status_pb2.Status:
    """google.rpc.Status with details."""
    details: list[error_details_pb2.ErrorInfo | error_details_pb2.BadRequest | error_details_pb2.RetryInfo] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=domain, metadata=error.metadata)
    ]
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=error.message)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(error.retry_after * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    code: int = error.code.value[0]
    return status_pb2.Status(code=code, message=error.message, details=packed)


def from_status(status: status_pb2.Status) -> ServiceError:
    """The reverse of `to_status`, for errors of services behind this one."""
    code = next((c for c in grpc.StatusCode if c.value[0] == status.code), grpc.StatusCode.UNKNOWN)
    info, retry, bad = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo(), error_details_pb2.BadRequest()
    retry_after, field = None, ""
    for detail in status.details:
        detail.Unpack(info)
        if detail.Unpack(retry):
            retry_after = retry.retry_delay.ToMilliseconds() / 1000
        if detail.Unpack(bad) and bad.field_violations:
            field = bad.field_violations[0].field
    metadata = dict(info.metadata)
    return ServiceError(code, info.reason, status.message, metadata=metadata, field=field, retry_after=retry_after)


async def abort(context: Context, error: ServiceError, domain: str) -> NoReturn:
    """Ends a call with this error."""
    trailing: list[tuple[str, str | bytes]] = [(DETAILS_KEY, to_status(error, domain).SerializeToString())]
    if error.retry_after is not None:
        trailing.append(("grpc-retry-pushback-ms", str(round(error.retry_after * 1000))))
    await context.abort(error.code, error.message, trailing_metadata=tuple(trailing))
    raise AssertionError("abort returned")
