"""Retrieval and memory at one address each, over gRPC. Concurrent callers share a call.

Failure policy: a service that cannot be reached is RETRIEVAL_UNAVAILABLE or MEMORY_UNAVAILABLE, whatever gRPC raises; the
channel reconnects automatically, and is replaced if it falls silent. Errors of single items are raised unchanged.
"""

import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc
from numpy.typing import NDArray
from shelm.channel import Silence, channel_options
from shelm.v1 import agent_pb2, errors_pb2

from agent.frame import Observation
from agent.history import MemoryStep, MemoryVector
from agent.vocabulary import Word
from services.policy.backends.interfaces import Remembered
from services.protocol.image import raw_image
from services.protocol.reasons import failure
from services.protocol.status import item_error
from services.protocol.steps import read_tokens
from services.protocol.stubs import memory_pb2, memory_pb2_grpc, retrieval_pb2, retrieval_pb2_grpc
from services.runtime import traces
from services.runtime.batching import Queue, make_batcher
from services.runtime.channels import Channel, handshake_problem, open_channel
from services.runtime.errors import ServiceError, deadline_passed, queue_full
from services.runtime.logs import Sparse
from services.runtime.tls import TlsFiles

_log = Sparse(logging.getLogger(__name__))
PATIENCE = 0.01  # seconds that a step waits for the answer of the call before it, so that more steps share a call
CALL_TIMEOUT = 30.0  # seconds, for callers without a deadline of their own
ENCODE_TIMEOUT = 300.0  # the same where many histories are computed
Reply = TypeVar("Reply")
_Seen = tuple[str, Observation, float | None]  # agent digest, observation, deadline
_Stepped = tuple[str, MemoryStep, float | None]


def unavailable(name: str, text: str) -> ServiceError:
    """UNAVAILABLE with the reason of the service `name`: retrieval or memory."""
    reasons = {
        "retrieval": errors_pb2.ERROR_REASON_RETRIEVAL_UNAVAILABLE,
        "memory": errors_pb2.ERROR_REASON_MEMORY_UNAVAILABLE,
    }
    return failure(reasons[name], text, retry_after=0.5)


def _code(error: Exception) -> grpc.StatusCode:
    return error.code() if isinstance(error, grpc.aio.AioRpcError) else grpc.StatusCode.UNKNOWN


def connect(target: str, max_message_bytes: int, tls: TlsFiles | None = None, *, name: str = "") -> Channel:
    """A channel that reconnects within a second after its server has come back.

    name: the host that the server's certificate must be for, if `target` is an address of it.
    """
    limits = [("grpc.max_receive_message_length", max_message_bytes), ("grpc.max_send_message_length", max_message_bytes)]
    return open_channel(target, [*limits, *channel_options(reconnect=1.0)], tls, silence=Silence, name=name)


class _Remote:
    """A client of one inner service."""

    def __init__(self, channel: Channel, *, name: str, service: str, token: Callable[[], str]) -> None:
        self._name, self._service = name, service
        self._channel, self._token = channel, token
        self._tracer = traces.tracer()
        self._health = health_pb2_grpc.HealthStub(channel)

    async def missing(self) -> list[str]:
        """Empty if the service is ready."""
        began = time.monotonic()
        try:
            reply = await self._health.Check(health_pb2.HealthCheckRequest(service=self._service), timeout=1.0)
        except Exception as error:  # a readiness check that fails is an answer: not ready
            self._channel.failed(error, began)
            problem = handshake_problem(error)
            return [f"{self._name}: {_code(error).name}" + (f" ({problem})" if problem else "")]
        self._channel.answered()
        return [] if reply.status == health_pb2.HealthCheckResponse.SERVING else [f"{self._name}: not serving"]

    async def _call(
        self, call: Callable[..., Awaitable[Reply]], request: Any, seconds: float, places: Sequence[int] | None = None
    ) -> Reply:
        """places: indices of the callers in the batch, for their traces; None: the call has one caller."""
        token = self._token()
        metadata: tuple[tuple[str, str], ...] = (("authorization", f"Bearer {token}"),) if token else ()
        if self._tracer:
            metadata += self._tracer.outgoing() if places is None else self._tracer.carry(places)
        began = time.monotonic()
        try:
            reply = await call(request, timeout=seconds, metadata=metadata)
        except Exception as error:
            self._channel.failed(error, began)
            raise self._error(error) from error
        self._channel.answered()
        return reply

    def _error(self, error: Exception) -> ServiceError:
        code = _code(error)
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return deadline_passed()
        if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
            return queue_full(self._name)
        if not isinstance(error, grpc.aio.AioRpcError):
            kind = type(error).__name__
            _log.error((self._name, kind), f"a call of {self._name} failed: {kind}: {error}", error)
        text = f"the {self._name} service is unavailable ({code.name}); retry the same step"
        return unavailable(self._name, text)

    def _item_error(self, status: agent_pb2.Status) -> ServiceError:
        """The error of one item. An internal one is the service's: the step may succeed at its next try."""
        error = item_error(status)
        if error.code is not grpc.StatusCode.INTERNAL:
            return error
        return unavailable(self._name, f"the {self._name} service failed; retry the same step")


class RemoteRetrieval(_Remote):
    """`Retrieval` over gRPC."""

    def __init__(self, channel: Channel, *, token: Callable[[], str] = str, max_batch: int, max_queue: int) -> None:
        super().__init__(channel, name="retrieval", service="shelm.internal.v1.RetrievalService", token=token)
        self._stub = retrieval_pb2_grpc.RetrievalServiceStub(channel)
        # Two calls may run at once, so that the next batch is sent while one is computed.
        self._calls: Queue[_Seen, Sequence[Word]] = make_batcher(
            self._retrieve,
            name="retrieval call",
            method=f"{self._service}/Retrieve",
            max_size=max_batch,
            max_queue=max_queue,
            concurrency=2,
        )

    def words(
        self, agent_digest: str, observations: Sequence[Observation], *, deadline: float | None
    ) -> Awaitable[Sequence[Sequence[Word] | BaseException]]:
        """k words of each frame, most similar first."""
        return self._calls.put([(agent_digest, one, deadline) for one in observations], deadline=deadline)

    async def _retrieve(self, items: list[_Seen]) -> list[Sequence[Word] | Exception]:
        results: dict[int, Sequence[Word] | Exception] = {}
        for digest in {item[0] for item in items}:
            places = [i for i, item in enumerate(items) if item[0] == digest]
            request = retrieval_pb2.RetrieveRequest(
                agent_digest=digest,
                frames=[raw_image(items[i][1].frame) for i in places],
                fingerprints=[items[i][1].fingerprint for i in places],
            )
            reply = await self._call(self._stub.Retrieve, request, _timeout(items[i][2] for i in places), places)
            for i, one in zip(places, reply.results, strict=True):
                good = one.WhichOneof("outcome") == "words"
                results[i] = read_tokens(one.words.tokens) if good else self._item_error(one.status)
        return [results[i] for i in range(len(items))]


class RemoteMemory(_Remote):
    """`Memory` over gRPC."""

    def __init__(self, channel: Channel, *, token: Callable[[], str] = str, max_batch: int, max_queue: int) -> None:
        super().__init__(channel, name="memory", service="shelm.internal.v1.MemoryService", token=token)
        self._stub = memory_pb2_grpc.MemoryServiceStub(channel)
        self._calls: Queue[_Stepped, Remembered] = make_batcher(
            self._remember,
            name="memory call",
            method=f"{self._service}/Remember",
            max_size=max_batch,
            max_queue=max_queue,
            patience=PATIENCE,
            concurrency=8,  # a call with a rebuild takes long
        )

    def remember(
        self, agent_digest: str, steps: Sequence[MemoryStep], *, deadline: float | None
    ) -> Awaitable[Sequence[Remembered | BaseException]]:
        """The vector after each step, and whether the memory state was rebuilt."""
        return self._calls.put([(agent_digest, step, deadline) for step in steps], deadline=deadline)

    async def encode_histories(
        self, agent_digest: str, histories: Sequence[Sequence[int]], *, episode_id: str, deadline: float | None
    ) -> list[NDArray[np.float32]]:
        """The memory vectors, float32 (dimension,), of histories that need not exist."""
        sent = [memory_pb2.History(word_ids=words) for words in histories]
        request = memory_pb2.EncodeHistoriesRequest(agent_digest=agent_digest, histories=sent)
        seconds = ENCODE_TIMEOUT if deadline is None else max(0.001, deadline - time.monotonic())
        reply: memory_pb2.EncodeHistoriesResponse = await self._call(self._stub.EncodeHistories, request, seconds)
        return [np.frombuffer(vector, "<f4") for vector in reply.vectors]

    async def forget(self, episode_ids: Sequence[str]) -> int:
        """Drops memory slots."""
        request = memory_pb2.ForgetRequest(episode_ids=episode_ids)
        reply: memory_pb2.ForgetResponse = await self._call(self._stub.Forget, request, CALL_TIMEOUT)
        return reply.dropped

    async def _remember(self, items: list[_Stepped]) -> list[Remembered | Exception]:
        request = memory_pb2.RememberRequest(items=[_item(digest, step) for digest, step, _ in items])
        reply = await self._call(self._stub.Remember, request, _timeout(item[2] for item in items), range(len(items)))
        return [self._remembered(result) for result in reply.results]

    def _remembered(self, result: memory_pb2.RememberResult) -> Remembered | Exception:
        if result.WhichOneof("outcome") != "remembered":
            return self._item_error(result.status)
        vector = np.frombuffer(result.remembered.vector, "<f4")
        return MemoryVector(vector, result.remembered.history_digest), result.remembered.rebuilt


def _timeout(deadlines: Iterable[float | None]) -> float:
    """Seconds until the latest deadline of the callers; those with an earlier one stop waiting on their own."""
    latest = max(math.inf if deadline is None else deadline for deadline in deadlines)
    return max(0.001, min(CALL_TIMEOUT, latest - time.monotonic()))


def _item(agent_digest: str, step: MemoryStep) -> memory_pb2.RememberItem:
    return memory_pb2.RememberItem(
        episode_id=step.episode_id,
        step=step.step,
        agent_digest=agent_digest,
        word_ids=step.vocabulary_rows,
        history_digest=step.history_digest,
        length=step.length,
    )
