"""The Triton client: whatever tritonclient and gRPC raise is told to the caller in our words, and a connection that has gone
silent is replaced.
"""

import asyncio
from typing import Any

import grpc
import numpy as np
import pytest
from faults_relay import relay_to
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from services.runtime.errors import ServiceError
from services.triton.client import Triton

ROW = {"X": np.zeros(1, np.float32)}


async def failing(error: BaseException) -> Triton:
    """A client whose library raises this."""

    class Library:
        async def infer(self, *_: Any, **__: Any) -> Any:
            raise error

        async def is_model_ready(self, *_: Any, **__: Any) -> Any:
            raise error

    triton = Triton("127.0.0.1:1", timeout=1, max_in_flight=2)
    await triton._client.close()
    triton._client = Library()
    return triton


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (InferenceServerException("gone", status="StatusCode.UNAVAILABLE"), "MODEL_UNAVAILABLE"),
        (InferenceServerException("bad", status="StatusCode.INTERNAL"), "MODEL_FAILED"),
        (
            InferenceServerException("Stub process 'act_0' is not healthy.", status="StatusCode.INTERNAL"),
            "MODEL_UNAVAILABLE",
        ),
        (InferenceServerException("late", status="StatusCode.DEADLINE_EXCEEDED"), "DEADLINE"),
        (grpc.RpcError("without a code"), "MODEL_UNAVAILABLE"),
        (AttributeError("a channel that is closed"), "MODEL_UNAVAILABLE"),
        (grpc.aio.UsageError("closed"), "MODEL_UNAVAILABLE"),
        (OSError("secret"), "MODEL_UNAVAILABLE"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_every_failure_has_a_reason(error: Exception, reason: str) -> None:
    triton = await failing(error)
    for _ in range(5):  # more than may be in flight: each gives its place back
        with pytest.raises(ServiceError) as caught:
            await triton.infer("model", ROW, deadline=None)
        assert caught.value.reason == reason
        assert "secret" not in caught.value.message
    (missing,) = await triton.missing(["model"])
    assert "127.0.0.1:1" in missing


async def test_a_cancellation_goes_on_unchanged() -> None:
    triton = await failing(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await triton.infer("model", ROW, deadline=None)


async def test_what_is_wrong_with_our_own_tensors_is_no_failure_of_triton() -> None:
    triton = await failing(AssertionError("not called"))
    with pytest.raises(TypeError):
        await triton.infer("model", {"X": object()}, deadline=None)  # type: ignore[dict-item]


async def test_a_connection_that_has_gone_silent_is_replaced() -> None:
    """At a stand-in for Triton whose models are ready; tests/triton has the same at a real one."""

    async def ready(request: bytes, _: object) -> bytes:
        answer: bytes = service_pb2.ModelReadyResponse(ready=True).SerializeToString()
        return answer

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    methods = {"ModelReady": grpc.unary_unary_rpc_method_handler(ready)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    with relay_to(f"127.0.0.1:{port}") as relay:
        triton = Triton(relay.target, timeout=1, max_in_flight=2)
        assert await triton.missing(["model"]) == []
        relay.forget()
        assert await triton.missing(["model"]) != []
        async with asyncio.timeout(30):
            while await triton.missing(["model"]):
                pass  # each takes until its deadline
        assert relay.accepted == 2
    await server.stop(0)
