"""Several Triton servers: an episode keeps its own, another one takes over, and what all of them have is asked of all.

At stand-ins for Triton; tests/triton has the same at two real ones.
"""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from agent.memory.checks import StepCheck
from services.runtime.errors import ServiceError
from services.triton.memory import TritonMemory
from services.triton.servers import TritonModel, TritonServers

SERVICE = "inference.GRPCInferenceService"


class StandIn:
    """Answers every request with its own number, as slots that it has."""

    def __init__(self, number: int) -> None:
        self.number, self.models, self.port = number, {"model"}, 0
        self.server: Any = None

    async def start(self) -> None:
        self.server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        methods = {
            "ModelReady": grpc.unary_unary_rpc_method_handler(self._ready),
            "ModelInfer": grpc.unary_unary_rpc_method_handler(self._infer),
        }
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
        self.port = self.server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop(0)

    async def _ready(self, request: bytes, _: object) -> bytes:
        name = service_pb2.ModelReadyRequest.FromString(request).name
        answer: bytes = service_pb2.ModelReadyResponse(ready=name in self.models).SerializeToString()
        return answer

    async def _infer(self, request: bytes, _: object) -> bytes:
        reply = service_pb2.ModelInferResponse()
        counts = np.array([[self.number, 1, 0, 0, 0, 0]], np.int64)
        for name, value in (("COUNTS", counts), ("NEEDED", counts[:, :1])):
            reply.outputs.add(name=name, datatype="INT64", shape=value.shape)
            reply.raw_output_contents.append(value.tobytes())
        answer: bytes = reply.SerializeToString()
        return answer


@asynccontextmanager
async def some(count: int) -> AsyncIterator[tuple[list[StandIn], TritonServers]]:
    async with AsyncExitStack() as stack:
        stand_ins = [StandIn(number + 1) for number in range(count)]
        for one in stand_ins:
            await one.start()
            stack.push_async_callback(one.stop)
        target = ",".join(f"127.0.0.1:{one.port}" for one in stand_ins)
        yield stand_ins, TritonServers(target, timeout=5, max_in_flight=100)


def model(servers: TritonServers) -> TritonModel[str, int]:
    return TritonModel(
        servers,
        "model",
        name="test",
        key=str.encode,
        encode=lambda _: {"X": np.zeros(1, np.float32)},
        decode=lambda outputs: int(outputs["NEEDED"][0]),
    )


NAMES = [f"episode-{i}" for i in range(60)]


async def homes(called: TritonModel[str, int]) -> list[int]:
    return [await called.submit(name) for name in NAMES]


async def test_an_episode_keeps_its_server_and_goes_on_at_the_other_while_that_is_away() -> None:
    async with some(2) as (stand_ins, servers):
        called = model(servers)
        assert await servers.missing(["model"]) == []
        before = await homes(called)
        assert await homes(called) == before
        assert min(Counter(before).values()) > 15
        await stand_ins[0].stop()
        assert await homes(called) == [2] * len(NAMES)
        assert await servers.missing(["model"]) == []
        await stand_ins[1].stop()
        assert len(await servers.missing(["model"])) == 2
        with pytest.raises(ServiceError) as caught:
            await called.submit(NAMES[0])
        assert caught.value.reason == "MODEL_UNAVAILABLE"
        with pytest.raises(ServiceError) as caught:
            await called.submit_each(NAMES[0])
        assert caught.value.reason == "MODEL_UNAVAILABLE"


async def test_a_server_without_one_of_the_models_is_not_asked() -> None:
    async with some(2) as (stand_ins, servers):
        stand_ins[0].models.clear()
        assert await servers.missing(["model"]) == []
        assert await homes(model(servers)) == [2] * len(NAMES)


async def test_slots_are_counted_and_dropped_at_every_server() -> None:
    async with some(3) as (_, servers):
        check = StepCheck(tokens_per_step=1, vocabulary_size=2, agent_digest="d")
        memory = TritonMemory(servers, "model", tokens_per_step=1, check=check)
        counts = await memory.counts()
        assert (counts.slots, counts.used) == (1 + 2 + 3, 3)
        assert await memory.forget(["a", "b"]) == 2 * (1 + 2 + 3)
