"""Retrieval and memory as policy sees them: one frame, one step at a time. Over gRPC, concurrent callers share a call.

Failure policy: a service that cannot be reached is UNAVAILABLE with its own reason; the channel connects again by
itself. Errors of single items are passed on as they are.
"""

import math
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc
from numpy.typing import NDArray
from shelm.v1 import agent_pb2, memory_pb2, memory_pb2_grpc, retrieval_pb2, retrieval_pb2_grpc

from services.domain.frame import Frame
from services.domain.history import MemoryStep, MemoryVector
from services.domain.status import item_error
from services.runtime import traces
from services.runtime.batching import Batcher
from services.runtime.errors import ServiceError, deadline_passed, queue_full
from services.runtime.traces import Metadata

CALL_TIMEOUT = 30.0  # seconds, for callers without a deadline of their own
IMAGINE_TIMEOUT = 300.0  # the same where many histories are computed
Reply = TypeVar("Reply")


class Retrieval(Protocol):
    """Frame -> words."""

    async def words(self, agent_digest: str, frame: Frame, *, deadline: float | None) -> list[agent_pb2.Token]:
        """k words, most similar first."""


class Memory(Protocol):
    """Words -> memory vector."""

    async def remember(self, agent_digest: str, step: MemoryStep, *, deadline: float | None) -> tuple[MemoryVector, bool]:
        """The vector after the step, and whether the memory state was rebuilt."""

    async def imagine(
        self, agent_digest: str, histories: Sequence[Sequence[int]], *, episode_id: str, deadline: float | None
    ) -> list[NDArray[np.float32]]:
        """The vectors after histories that need not exist. episode_id: whose home is asked."""

    async def forget(self, episode_ids: Sequence[str]) -> int:
        """Drops memory slots."""


def connect(target: str, max_message_bytes: int) -> grpc.aio.Channel:
    """A channel that comes back within a second once its server does."""
    return grpc.aio.insecure_channel(
        target,
        options=[
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.max_send_message_length", max_message_bytes),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
        ],
    )


class _Peer:
    """One service behind this one."""

    def __init__(self, channel: grpc.aio.Channel, *, name: str, service: str, token: str) -> None:
        self._name, self._service = name, service
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._health = health_pb2_grpc.HealthStub(channel)

    async def missing(self) -> list[str]:
        """Empty if the service is ready."""
        try:
            reply = await self._health.Check(health_pb2.HealthCheckRequest(service=self._service), timeout=1.0)
        except grpc.aio.AioRpcError as error:
            return [f"{self._name}: {error.code().name}"]
        return [] if reply.status == health_pb2.HealthCheckResponse.SERVING else [f"{self._name}: not serving"]

    async def _call(
        self, call: Callable[..., Awaitable[Reply]], request: Any, seconds: float, trace: Metadata | None = None
    ) -> Reply:
        """trace: metadata of the call if it belongs to several traces."""
        metadata = (*self._metadata, *(traces.outgoing() if trace is None else trace))
        try:
            return await call(request, timeout=seconds, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise self._error(error) from error

    def _error(self, error: grpc.aio.AioRpcError) -> ServiceError:
        code = error.code()
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return deadline_passed()
        if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
            return queue_full(self._name)
        text = f"the {self._name} service is unavailable ({code.name}); retry the same step"
        return ServiceError(grpc.StatusCode.UNAVAILABLE, f"{self._name.upper()}_UNAVAILABLE", text, retry_after=0.5)


class RetrievalPeer(_Peer):
    """`Retrieval` over gRPC."""

    def __init__(self, channel: grpc.aio.Channel, *, token: str = "", max_batch: int, max_queue: int) -> None:
        super().__init__(channel, name="retrieval", service="shelm.v1.RetrievalService", token=token)
        self._stub = retrieval_pb2_grpc.RetrievalServiceStub(channel)
        # Two calls may be under way, so that the next batch travels while one is computed.
        self._calls: Batcher[tuple[str, Frame, float | None], list[agent_pb2.Token]] = Batcher(
            self._retrieve,
            name="retrieval call",
            method=f"{self._service}/Retrieve",
            max_size=max_batch,
            max_queue=max_queue,
            concurrency=2,
        )

    async def words(self, agent_digest: str, frame: Frame, *, deadline: float | None) -> list[agent_pb2.Token]:
        """See `Retrieval`."""
        return await self._calls.submit((agent_digest, frame, deadline), deadline=deadline)

    async def _retrieve(self, items: list[tuple[str, Frame, float | None]]) -> list[list[agent_pb2.Token] | Exception]:
        results: list[list[agent_pb2.Token] | Exception] = [deadline_passed()] * len(items)
        for digest in {item[0] for item in items}:
            places = [i for i, item in enumerate(items) if item[0] == digest]
            request = retrieval_pb2.RetrieveRequest(agent_digest=digest, frames=[_image(items[i][1]) for i in places])
            seconds = _timeout(items[i][2] for i in places)
            reply = await self._call(self._stub.Retrieve, request, seconds, traces.carry(places))
            for i, one in zip(places, reply.results, strict=True):
                good = one.WhichOneof("outcome") == "words"
                results[i] = list(one.words.tokens) if good else item_error(one.status)
        return results


class MemoryPeer(_Peer):
    """`Memory` over gRPC."""

    def __init__(self, channel: grpc.aio.Channel, *, token: str = "", max_batch: int, max_queue: int) -> None:
        super().__init__(channel, name="memory", service="shelm.v1.MemoryService", token=token)
        self._stub = memory_pb2_grpc.MemoryServiceStub(channel)
        self._calls: Batcher[tuple[str, MemoryStep, float | None], tuple[MemoryVector, bool]] = Batcher(
            self._remember,
            name="memory call",
            method=f"{self._service}/Remember",
            max_size=max_batch,
            max_queue=max_queue,
            concurrency=2,
        )

    async def remember(self, agent_digest: str, step: MemoryStep, *, deadline: float | None) -> tuple[MemoryVector, bool]:
        """See `Memory`."""
        return await self._calls.submit((agent_digest, step, deadline), deadline=deadline)

    async def imagine(
        self, agent_digest: str, histories: Sequence[Sequence[int]], *, episode_id: str, deadline: float | None
    ) -> list[NDArray[np.float32]]:
        """See `Memory`."""
        imagined = [memory_pb2.ImaginedHistory(word_ids=words) for words in histories]
        request = memory_pb2.ImagineRequest(agent_digest=agent_digest, histories=imagined)
        seconds = IMAGINE_TIMEOUT if deadline is None else max(0.001, deadline - time.monotonic())
        reply: memory_pb2.ImagineResponse = await self._call(self._stub.Imagine, request, seconds)
        return [np.frombuffer(vector, "<f4") for vector in reply.vectors]

    async def forget(self, episode_ids: Sequence[str]) -> int:
        """See `Memory`."""
        request = memory_pb2.ForgetRequest(episode_ids=episode_ids)
        reply: memory_pb2.ForgetResponse = await self._call(self._stub.Forget, request, CALL_TIMEOUT)
        return reply.dropped

    async def _remember(
        self, items: list[tuple[str, MemoryStep, float | None]]
    ) -> list[tuple[MemoryVector, bool] | Exception]:
        request = memory_pb2.RememberRequest(items=[_item(digest, step) for digest, step, _ in items])
        seconds, trace = _timeout(item[2] for item in items), traces.carry(range(len(items)))
        reply = await self._call(self._stub.Remember, request, seconds, trace)
        return [_remembered(result) for result in reply.results]


def _timeout(deadlines: Iterable[float | None]) -> float:
    """Seconds until the last of the callers gives up; the others leave the batch by themselves."""
    latest = max(math.inf if deadline is None else deadline for deadline in deadlines)
    return max(0.001, min(CALL_TIMEOUT, latest - time.monotonic()))


def _image(frame: Frame) -> agent_pb2.Image:
    height, width, _ = frame.shape
    return agent_pb2.Image(encoding=agent_pb2.ENCODING_RAW_RGB8, height=height, width=width, data=frame.tobytes())


def _item(agent_digest: str, step: MemoryStep) -> memory_pb2.RememberItem:
    return memory_pb2.RememberItem(
        episode_id=step.episode_id,
        step=step.step,
        agent_digest=agent_digest,
        word_ids=step.word_ids,
        history_digest=step.history,
    )


def _remembered(result: memory_pb2.RememberResult) -> tuple[MemoryVector, bool] | Exception:
    if result.WhichOneof("outcome") != "remembered":
        return item_error(result.status)
    vector = np.frombuffer(result.remembered.vector, "<f4")
    return MemoryVector(vector, result.remembered.history_digest), result.remembered.rebuilt
