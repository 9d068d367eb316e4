"""What the inspector makes of the failures of the public API."""

import grpc
import pytest

from services.inspector.api import error_of


def failed(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    """A call that ended with a code and nothing else."""
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "gone", None)


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
def test_a_call_that_the_api_does_not_answer_may_be_repeated(code: grpc.StatusCode) -> None:
    error = error_of(failed(code))
    assert (error.code, error.reason, error.retry_after) == (grpc.StatusCode.UNAVAILABLE, "API_UNAVAILABLE", 1)


def test_another_failure_keeps_its_code() -> None:
    error = error_of(failed(grpc.StatusCode.UNIMPLEMENTED))
    assert (error.code, error.message, error.retry_after) == (grpc.StatusCode.UNIMPLEMENTED, "gone", None)
