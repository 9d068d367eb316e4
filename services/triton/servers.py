"""All Triton servers of SHELM_TRITON_TARGET as an engine: one request per item; Triton forms the batches.

Contract: an item goes to the server that its key prefers (services.runtime.replicas): with an episode's name as its key, to
the one whose slot holds its memory state. A server is asked as long as it has every model that is needed. Models answer
any item at any server, at the cost of a rebuild.

Failure policy: an item whose server is away goes on at the next one. If none is left, the error is that of
services.triton.client.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

from services.agent_settings import AgentSettings
from services.runtime import telemetry, traces
from services.runtime.replicas import Replicas
from services.triton.client import Row, Triton, unreachable

Item = TypeVar("Item")
Result = TypeVar("Result")
Outputs = Mapping[str, NDArray[Any]]


class _Server:
    """One Triton, with the health that its replicas look at."""

    def __init__(self, triton: Triton, needed: Callable[[], Iterable[str]]) -> None:
        self.triton, self._needed = triton, needed

    async def missing(self) -> list[str]:
        """What of the needed models is not ready."""
        return await self.triton.missing(self._needed())


class TritonServers:
    """The servers behind one target, HOST:PORT[,HOST:PORT...], where a host may have many addresses."""

    def __init__(self, target: str, *, timeout: float, max_in_flight: int) -> None:
        """timeout, max_in_flight: as of each `Triton`."""
        self._needed: tuple[str, ...] = ()

        def connect(address: str, _: str) -> _Server:
            triton = Triton(address, timeout=timeout, max_in_flight=max_in_flight)
            return _Server(triton, lambda: self._needed)

        self._replicas = Replicas(target, "triton", connect, unreachable)

    async def missing(self, models: Iterable[str]) -> list[str]:
        """Returns what is not ready; empty if one server has all models. Each time, servers that have joined are found."""
        self._needed = tuple(models)
        return await self._replicas.missing()

    async def infer(self, model: str, row: Row, *, key: bytes, deadline: float | None) -> Outputs:
        """Sends one row to a model, at the server that `key` prefers; returns its outputs without the batch dimension."""
        return await self._replicas.call(key, lambda server: server.triton.infer(model, row, deadline=deadline))

    async def infer_each(self, model: str, row: Row) -> Sequence[Outputs]:
        """Sends one row to a model at every server; UNAVAILABLE if none answers."""
        found = await self._replicas.each(lambda server: server.triton.infer(model, row, deadline=None))
        if not found:
            raise unreachable(f"no server of model {model} answers")
        return found


def connect_triton(settings: AgentSettings) -> TritonServers | None:
    """Returns the servers if the engine is Triton, else None; must be called in a running event loop."""
    if settings.engine == "local":
        return None
    return TritonServers(settings.triton_target, timeout=settings.triton_timeout, max_in_flight=settings.max_queue)


class TritonModel(Generic[Item, Result]):
    """A Triton model with the interface of a `Queue`."""

    def __init__(
        self,
        servers: TritonServers,
        model: str,
        *,
        name: str,
        key: Callable[[Item], bytes],
        encode: Callable[[Item], Row],
        decode: Callable[[Outputs], Result],
    ) -> None:
        """name: for the metrics. key: item -> what chooses its server. encode: item -> inputs. decode: outputs -> result;
        may raise.
        """
        self._servers, self.model = servers, model
        self._name, self._key, self._encode, self._decode = name, key, encode, decode
        self._tracer = traces.tracer()

    async def submit(self, item: Item, *, deadline: float | None = None) -> Result:
        """Sends one item to the model and returns its result; implements `Queue.submit`."""
        started = time.monotonic()
        with self._tracer.span("run", {"shelm.queue": self._name}) if self._tracer else traces.NOTHING:
            outputs = await self._servers.infer(self.model, self._encode(item), key=self._key(item), deadline=deadline)
        telemetry.RUN_SECONDS.labels(self._name).observe(time.monotonic() - started)
        return self._decode(outputs)

    async def submit_each(self, item: Item) -> list[Result]:
        """Sends one item to the model at every server; the results of those that answer."""
        return [self._decode(outputs) for outputs in await self._servers.infer_each(self.model, self._encode(item))]

    def put(self, items: Sequence[Item], *, deadline: float | None = None) -> "asyncio.Future[list[Result | BaseException]]":
        """Sends several items; implements `Queue.put`."""
        return asyncio.gather(*(self.submit(item, deadline=deadline) for item in items), return_exceptions=True)
