"""What a refused call says, read as any client in any language would read it: google.rpc details and trailers.

Contract: reading a refusal asserts what holds for every refusal of ours: ErrorInfo is there, its domain is ours,
and nothing of a traceback has crossed the wire.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2
from shelm.v1 import agent_pb2

Code = grpc.StatusCode
DOMAIN = "shelm"
TRACES = ("Traceback", 'File "', ".py", "object at 0x", "<class")


@dataclass(frozen=True)
class Refusal:
    """One refused call or item."""

    code: grpc.StatusCode
    message: str
    reason: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)  # of BadRequest: field -> what is wrong with it
    retry_after: float | None = None  # of RetryInfo, in seconds
    pushback: str | None = None  # the trailer of gRPC's retry push-back, in milliseconds

    @property
    def kind(self) -> tuple[grpc.StatusCode, str]:
        """Code and reason: what a client's program looks at."""
        return self.code, self.reason


def refused(call: Callable[[], object]) -> Refusal:
    """The refusal of a call that must be refused."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return refusal_of_call(caught.value)


def refusal_of_call(error: Any) -> Refusal:
    """What the error of a call says."""
    trailers = dict(error.trailing_metadata() or ())
    details = trailers.get("grpc-status-details-bin")
    assert details is not None, f"no google.rpc details: {error.code()} {error.details()!r}"
    status = status_pb2.Status.FromString(details)
    assert (status.code, status.message) == (error.code().value[0], error.details())
    return _read(error.code(), status.message, status.details, trailers.get("grpc-retry-pushback-ms"))


def refused_item(result: agent_pb2.ActResult) -> Refusal:
    """The refusal of an item of a batch or stream that must be refused."""
    assert result.WhichOneof("outcome") == "status", result
    return refusal_of(result.status)


def refusal_of(status: agent_pb2.Status) -> Refusal:
    """What the status of an item says."""
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    return _read(code, status.message, status.details, None)


def _read(code: grpc.StatusCode, message: str, details: Iterable[AnyMessage], pushback: Any) -> Refusal:
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    found = [message_type for detail in details for message_type in (info, bad, retry) if detail.Unpack(message_type)]
    assert info in found, f"no ErrorInfo: {code} {message!r}"
    assert info.domain == DOMAIN
    assert not [trace for trace in TRACES if trace in message], message
    seconds = retry.retry_delay.ToMilliseconds() / 1000 if retry in found else None
    fields = {violation.field: violation.description for violation in bad.field_violations}
    return Refusal(code, message, info.reason, dict(info.metadata), fields, seconds, pushback)
