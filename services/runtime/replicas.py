"""Several replicas of a server that is called: each key has a preferred one.

A target is `HOST:PORT[,HOST:PORT...]`. Each host is resolved again every few seconds, so one name is enough for all replicas
of a headless Kubernetes service or a scaled compose service. The preferred replica is chosen by rendezvous hashing of the
key, so a replica that joins or leaves moves only its own share. This is affinity only: any replica must be able to answer
any call.

Failure policy: if a replica answers UNAVAILABLE, or its health check fails while a call waits for it, the call is repeated
at the next replica; so calls must change nothing durable. If no replica is left, the caller gets the last error. A host that
cannot be resolved keeps its last known addresses.
"""

import asyncio
import hashlib
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import grpc

from services.runtime.batching import together
from services.runtime.errors import ServiceError

log = logging.getLogger(__name__)
LOOK_UP_EVERY = 5.0  # seconds


def preference(key: bytes, address: str) -> bytes:
    """How much a key prefers the replica at an address (rendezvous hashing): the largest of all replicas is preferred."""
    return hashlib.blake2b(key + address.encode(), digest_size=8).digest()


class Checked(Protocol):
    """A backend with a health check."""

    async def missing(self) -> list[str]:
        """Empty if it is ready."""


Backend = TypeVar("Backend", bound=Checked)
Result = TypeVar("Result")


@dataclass
class Replica(Generic[Backend]):
    """One address."""

    address: str
    backend: Backend
    away: bool = False  # its health check failed
    answers: "set[asyncio.Future[Any]]" = field(default_factory=set)  # of calls under way


class Replicas(Generic[Backend]):
    """All replicas of one service."""

    def __init__(
        self,
        target: str,
        name: str,
        connect: Callable[[str, str], Backend],
        unavailable: Callable[[str], ServiceError],
    ) -> None:
        """name: for messages. connect: makes the backend of one address, given it and the name of its host. unavailable:
        makes the error where no replica is known, given its text.
        """
        self._hosts, self._name, self._connect, self._unavailable = target.split(","), name, connect, unavailable
        self._replicas: dict[str, Replica[Backend]] = {}
        self._looked_up = 0.0

    async def missing(self) -> list[str]:
        """Empty if at least one replica is ready. Also updates the list of replicas and their health."""
        await self._look_up()
        if not self._replicas:
            return [f"no replica of {self._name} is known"]
        answers = await asyncio.gather(*(self._check(replica) for replica in self._replicas.values()))
        return [] if any(not answer for answer in answers) else [one for answer in answers for one in answer]

    async def call(self, key: bytes, work: Callable[[Backend], Awaitable[Result]]) -> Result:
        """Runs `work` at the preferred replica of `key`, or at the next best one that is healthy."""
        if not self._replicas:
            await self._look_up()
        error: ServiceError | None = None
        for replica in self._ranked(key):
            try:
                return await _unless_away(replica, work(replica.backend))
            except ServiceError as one:
                if one.code is not grpc.StatusCode.UNAVAILABLE:
                    raise
                error = one
        raise error or self._no_replica()

    async def call_each(
        self, keys: Sequence[bytes], work: Callable[[Backend, list[int]], Awaitable[Sequence[Result | BaseException]]]
    ) -> list[Result | BaseException]:
        """Runs `work` for items, given their keys, each at its preferred replica: one call for the items of a replica.

        work: takes the indices of items; the result or error of each. An item whose error is UNAVAILABLE goes on at its next
        best replica.
        """
        if not self._replicas:
            await self._look_up()
        outcomes: list[Result | BaseException] = [self._no_replica()] * len(keys)
        ranked = [self._ranked(key) for key in keys]
        left = list(range(len(keys)))
        for rank in range(len(self._replicas)):
            homes: dict[str, list[int]] = {}
            for i in left:
                homes.setdefault(ranked[i][rank].address, []).append(i)
            found = await together([_outcomes(ranked[some[0]][rank], work, some) for some in homes.values()])
            for some, answers in zip(homes.values(), found, strict=True):
                for i, outcome in zip(some, answers, strict=True):
                    outcomes[i] = outcome
            left = [i for i in left if _is_unavailable(outcomes[i])]
            if not left:
                break
        return outcomes

    async def each(self, work: Callable[[Backend], Awaitable[Result]]) -> list[Result]:
        """Runs `work` at every healthy replica; results of those that fail are left out."""
        if not self._replicas:
            await self._look_up()
        there = [replica for replica in self._replicas.values() if not replica.away]
        done = await asyncio.gather(*(work(replica.backend) for replica in there), return_exceptions=True)
        return [one for one in done if not isinstance(one, BaseException)]

    def _no_replica(self) -> ServiceError:
        return self._unavailable(f"no replica of the {self._name} service is known; retry the same step")

    def _ranked(self, key: bytes) -> list[Replica[Backend]]:
        """Healthy replicas in the order of their hash for the key, then unhealthy ones, in case they have recovered."""

        if len(self._replicas) == 1:
            return list(self._replicas.values())

        def rank(replica: Replica[Backend]) -> tuple[bool, bytes]:
            return not replica.away, preference(key, replica.address)

        return sorted(self._replicas.values(), key=rank, reverse=True)

    async def _check(self, replica: Replica[Backend]) -> list[str]:
        missing = await replica.backend.missing()
        replica.away = bool(missing)
        if missing:
            _give_up(replica, self._name)
        return missing

    async def _look_up(self) -> None:
        loop = asyncio.get_running_loop()
        if self._replicas and loop.time() - self._looked_up < LOOK_UP_EVERY:
            return
        self._looked_up = loop.time()
        try:
            found = {address: _name(host) for host in self._hosts for address in await _addresses(host)}
        except Exception as error:  # the resolver's, or the codec's where a name cannot be one
            log.warning("%s: %s", self._name, error)
            return
        if found.keys() != self._replicas.keys():
            log.info("%s: replicas %s", self._name, sorted(found))
        kept = {address: replica for address, replica in self._replicas.items() if address in found}
        added = {address: name for address, name in found.items() if address not in kept}
        new = {address: Replica(address, self._connect(address, name)) for address, name in added.items()}
        self._replicas = {**kept, **new}


async def _unless_away(replica: Replica[Any], work: Awaitable[Result]) -> Result:
    """Returns the result of `work`, or raises REPLICA_AWAY once the health check fails: a cut cable closes no connection."""
    if replica.away:
        return await work
    call = asyncio.ensure_future(work)
    answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
    call.add_done_callback(partial(_pass_on, answer))
    replica.answers.add(answer)
    try:
        return await answer
    finally:
        replica.answers.discard(answer)
        call.cancel()


def _pass_on(answer: "asyncio.Future[Result]", call: "asyncio.Future[Result]") -> None:
    error = None if call.cancelled() else call.exception()  # asked for even where nobody waits, or asyncio complains
    if answer.done():
        return
    if call.cancelled():
        answer.cancel()
    elif error:
        answer.set_exception(error)
    else:
        answer.set_result(call.result())


def _give_up(replica: Replica[Any], name: str) -> None:
    text = f"the {name} replica of this step is away; retry the same step"
    for answer in replica.answers:
        if not answer.done():
            error = ServiceError(grpc.StatusCode.UNAVAILABLE, "REPLICA_AWAY", text, retry_after=0.5)
            answer.set_exception(error)


async def _outcomes(
    replica: Replica[Backend],
    work: Callable[[Backend, list[int]], Awaitable[Sequence[Result | BaseException]]],
    some: list[int],
) -> Sequence[Result | BaseException]:
    try:
        return await _unless_away(replica, work(replica.backend, some))
    except ServiceError as error:
        return [error] * len(some)


def _is_unavailable(outcome: object) -> bool:
    return isinstance(outcome, ServiceError) and outcome.code is grpc.StatusCode.UNAVAILABLE


def _name(host: str) -> str:
    """The name that a certificate of this HOST:PORT holds; empty for a target with a scheme, whose name gRPC knows."""
    return "" if "/" in host else host.strip().rpartition(":")[0].strip("[]")


async def _addresses(host: str) -> list[str]:
    """HOST:PORT of every address of a host; a target with a scheme (such as dns:) is passed to gRPC unchanged."""
    name, _, port = host.strip().rpartition(":")
    if "/" in host or not port.isdigit():
        return [host.strip()]
    found = await asyncio.get_running_loop().getaddrinfo(name.strip("[]"), int(port), type=socket.SOCK_STREAM)
    addresses = [(family, place[0]) for family, _, _, _, place in found]
    return [f"[{at}]:{port}" if family == socket.AF_INET6 else f"{at}:{port}" for family, at in addresses]
