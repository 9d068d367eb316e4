"""`ServiceError` and its way across the wire."""

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.errors import ServiceError, deadline_passed, from_status, invalid, queue_full, to_status

NAMES = st.text("abcdefgh_", min_size=1, max_size=12)
ERRORS = st.builds(
    ServiceError,
    st.sampled_from([code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]),
    NAMES,
    st.text(max_size=40),
    metadata=st.dictionaries(NAMES, st.text(max_size=12), max_size=3),
    field=st.sampled_from(["", "step", "observation.width"]),
    retry_after=st.none() | st.integers(0, 10_000).map(lambda millis: millis / 1000),
)


@given(error=ERRORS)
def test_an_error_comes_back_from_the_wire_as_it_was(error: ServiceError) -> None:
    status = status_pb2.Status.FromString(to_status(error, "shelm").SerializeToString())
    back = from_status(status)
    for name in ("code", "reason", "message", "metadata", "field", "retry_after"):
        assert getattr(back, name) == getattr(error, name), name


def details(status: status_pb2.Status) -> dict[str, any_pb2.Any]:
    return {detail.type_url.rpartition(".")[2]: detail for detail in status.details}


def test_a_status_has_the_details_that_google_defines() -> None:
    error = invalid("step", "expected 0..9, got 10")
    status = to_status(error, "shelm")
    assert status.code == code_pb2.INVALID_ARGUMENT
    assert status.message == "step: expected 0..9, got 10"
    found = details(status)
    assert found.keys() == {"ErrorInfo", "BadRequest"}
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert found["ErrorInfo"].Unpack(info)
    assert found["BadRequest"].Unpack(bad)
    assert (info.domain, info.reason) == ("shelm", "INVALID_FIELD")
    assert [violation.field for violation in bad.field_violations] == ["step"]


def test_a_full_queue_says_when_to_come_back() -> None:
    retry = error_details_pb2.RetryInfo()
    assert details(to_status(queue_full("act", 0.25), "shelm"))["RetryInfo"].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 250


def test_a_passed_deadline_is_no_fault_of_a_field_and_waiting_does_not_help() -> None:
    assert details(to_status(deadline_passed(), "shelm")).keys() == {"ErrorInfo"}


@pytest.mark.parametrize("code", [0, 99, -1])
def test_a_status_without_details_still_becomes_an_error(code: int) -> None:
    error = from_status(status_pb2.Status(code=code, message="odd"))
    assert error.code in (grpc.StatusCode.OK, grpc.StatusCode.UNKNOWN)
    assert (error.message, error.reason, error.field, error.retry_after) == ("odd", "", "", None)


def test_within_puts_the_field_and_the_message_inside_the_item() -> None:
    error = invalid("observation.width", "expected 56, got 57").within("requests[3]")
    assert error.field == "requests[3].observation.width"
    assert error.message == "requests[3].observation.width: expected 56, got 57"


def test_within_leaves_an_error_without_a_field_as_it_is() -> None:
    error = ServiceError(grpc.StatusCode.ABORTED, "STEP_CONFLICT", "step 3", metadata={"committed_step": "4"}, retry_after=1)
    inside = error.within("requests[3]")
    assert inside is not error
    for name in ("code", "reason", "message", "metadata", "field", "retry_after"):
        assert getattr(inside, name) == getattr(error, name), name
