"""A few hundred damaged inputs on each surface of a running server, and all that once failed: `make fuzz`, in seconds."""

import asyncio

import pytest
from fuzz_live import Served
from run import run_session
from support.deployment import Deployment

INPUTS = 200
WHOLE = 10_000_000  # lines of a log


def served(deployment: Deployment) -> Served:
    """Where the deployment is reached."""
    inner = {"retrieval": deployment.retrieval_target, "memory": deployment.memory_target} if deployment.apart else {}
    return Served(targets={"policy": deployment.target, **inner})


@pytest.mark.parametrize("surface", ["rpc", "names"])
def test_damaged_calls_get_what_the_protocol_names_and_end_nothing(deployment: Deployment, surface: str) -> None:
    before, logged = deployment.pids(), deployment.logs(WHOLE).count("Traceback")  # by other tests of this deployment
    outcome = asyncio.run(run_session(served(deployment), surface, 0, INPUTS, 1000.0, keep=False))
    assert outcome.failed == []
    assert outcome.inputs >= INPUTS
    assert deployment.pids() == before
    assert deployment.gateway.serving()
    assert deployment.logs(WHOLE).count("Traceback") == logged
