"""The inspector's calls of the public API, and what it makes of their failures."""

import grpc
import pytest
from shelm import Client
from support.stand_in import StandIn, frame, serving

from services.inspector.api import PublicApi, error_of


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


async def test_a_call_carries_the_viewers_header_and_names_its_episode() -> None:
    stand_in = StandIn()
    with serving(stand_in) as target:
        with Client(target) as client:
            client.act(frame(0), "seen")
        api = PublicApi(target, timeout=10)
        await api.episode("seen", "Bearer secret")
        assert (stand_in.metadata["authorization"], stand_in.metadata["shelm-episode"]) == ("Bearer secret", "seen")
        await api.close()
