"""The errors of the client: every reason of the contract has its class, keeps its details and says what to do."""

import pickle
import time

import grpc
import pytest
from shelm import Client, ShelmError, errors
from shelm.status import error_from_status
from shelm.v1 import agent_pb2
from support.stand_in import Failure, StandIn, frame, serving

Code = grpc.StatusCode
CONTRACT = [
    (Code.INVALID_ARGUMENT, "INVALID_FIELD", errors.InvalidArgument, False),
    (Code.ABORTED, "STEP_CONFLICT", errors.StepConflict, False),
    (Code.ABORTED, "COMMIT_CONFLICT", errors.CommitConflict, True),
    (Code.OUT_OF_RANGE, "STEP_TOO_OLD", errors.StepTooOld, False),
    (Code.FAILED_PRECONDITION, "STEP_GAP", errors.StepGap, False),
    (Code.FAILED_PRECONDITION, "EPISODE_ENDED", errors.EpisodeEnded, False),
    (Code.FAILED_PRECONDITION, "AGENT_MISMATCH", errors.AgentMismatch, False),
    (Code.FAILED_PRECONDITION, "FRAME_NEEDED", errors.FrameNeeded, False),
    (Code.FAILED_PRECONDITION, "RECORDING_OFF", errors.RecordingOff, False),
    (Code.NOT_FOUND, "FRAME_NOT_RECORDED", errors.FrameNotRecorded, False),
    (Code.NOT_FOUND, "EPISODE_NOT_FOUND", errors.EpisodeNotFound, False),
    (Code.NOT_FOUND, "AGENT_NOT_FOUND", errors.AgentNotFound, False),
    (Code.ALREADY_EXISTS, "EPISODE_EXISTS", errors.AlreadyExists, False),
    (Code.RESOURCE_EXHAUSTED, "QUEUE_FULL", errors.Overloaded, True),
    (Code.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHERS", errors.Overloaded, True),
    (Code.RESOURCE_EXHAUSTED, "", errors.Overloaded, False),  # gRPC's own: a message larger than allowed
    (Code.UNAVAILABLE, "STORE_UNAVAILABLE", errors.Unavailable, True),
    (Code.UNAVAILABLE, "SERVER_STOPPING", errors.Unavailable, True),
    (Code.CANCELLED, "", errors.Unavailable, True),  # by the server: it dropped the call, or stopped
    (Code.DEADLINE_EXCEEDED, "DEADLINE", errors.DeadlineExceeded, True),
    (Code.UNAUTHENTICATED, "UNAUTHENTICATED", errors.Unauthenticated, False),
    (Code.PERMISSION_DENIED, "PERMISSION_DENIED", errors.PermissionDenied, False),
    (Code.INTERNAL, "INTERNAL", ShelmError, False),
]


def _error(failure: Failure) -> ShelmError:
    status = agent_pb2.Status(code=failure.code.value[0], message=failure.message, details=failure.details())
    return error_from_status(status)


@pytest.mark.parametrize(("code", "reason", "kind", "retryable"), CONTRACT)
def test_every_reason_of_the_contract_has_its_class(
    code: grpc.StatusCode, reason: str, kind: type[ShelmError], *, retryable: bool
) -> None:
    error = _error(Failure(code, reason))
    assert (type(error), error.code, error.reason, error.retryable) == (kind, code, reason, retryable)
    assert error.advice in str(error)
    assert "\n" not in str(error)


def test_details_survive_the_wire() -> None:
    stand_in = StandIn()
    fields = {"observation.width": "expected 56, given 5"}
    stand_in.before["Act"].append(Failure(Code.INVALID_ARGUMENT, "INVALID_FIELD", {"k": "v"}, fields=fields))
    with serving(stand_in) as target, Client(target) as client, pytest.raises(errors.InvalidArgument) as caught:
        client.act(frame(0), "a")
    assert caught.value.metadata == {"k": "v"}
    assert caught.value.field_violations == (errors.FieldViolation("observation.width", "expected 56, given 5"),)
    assert "observation.width: expected 56, given 5" in str(caught.value)


def test_a_step_gap_tells_the_committed_step() -> None:
    with serving(StandIn()) as target, Client(target) as client:
        with pytest.raises(errors.StepGap) as caught:
            client.act(frame(0), "a", step=3)
        assert caught.value.committed_step == -1
        assert client.act(frame(0), "a").step == 0  # a refused step moves nothing
        with pytest.raises(errors.EpisodeNotFound, match="no episode nowhere"):
            client.resume("nowhere")


def test_details_that_cannot_be_read_leave_the_class_of_the_code() -> None:
    status = agent_pb2.Status(code=5, message="gone")
    status.details.add(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff\xff")
    assert type(error_from_status(status)) is errors.NotFound


def test_a_call_that_hangs_ends_with_its_deadline() -> None:
    class Hanging(StandIn):
        def take(self, request: agent_pb2.ActRequest) -> agent_pb2.ActResponse:
            time.sleep(0.5)
            return super().take(request)

    with serving(Hanging()) as target:
        with (
            Client(target, timeout=0.1, retry_for=0) as client,
            pytest.raises(errors.DeadlineExceeded, match="raise timeout"),
        ):
            client.act(frame(0), "a")
        with Client(target, timeout=2.0) as client:
            assert client.act(frame(0), "a").step == 0


def test_errors_can_be_pickled_by_a_pool_of_simulators() -> None:
    error = _error(Failure(Code.FAILED_PRECONDITION, "STEP_GAP", {"committed_step": "4"}))
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  its own bytes
    assert (type(copy), copy.committed_step, str(copy)) == (errors.StepGap, 4, str(error))
