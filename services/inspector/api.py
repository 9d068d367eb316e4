"""`PublicApi`: the inspector's only connection to AgentService, over one channel.

Contract: every call carries the authorization header of the viewer for whom it is made, and no other; and its episode's name
where proxies look for it (shelm.routing).

Failure policy: a failed call raises the ServiceError that the API returned; if the API cannot be reached, or drops the call,
the error is UNAVAILABLE with reason API_UNAVAILABLE, whatever gRPC raises. Calls are not retried here; the page retries.
"""

import logging
import time
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2
from shelm.channel import Silence, channel_options
from shelm.routing import episode_metadata
from shelm.v1 import agent_pb2, agent_pb2_grpc, errors_pb2

from services.protocol.reasons import failure
from services.runtime.channels import handshake_problem, open_channel
from services.runtime.errors import DETAILS_KEY, ServiceError, from_status
from services.runtime.logs import Sparse
from services.runtime.tls import TlsFiles

_log = Sparse(logging.getLogger(__name__))
_OPTIONS = [*channel_options(), ("grpc.max_receive_message_length", 64 * 2**20)]


class PublicApi:
    """Calls AgentService. target: HOST:PORT. timeout: seconds per call. tls: what the API's certificate is checked with."""

    def __init__(self, target: str, *, timeout: float, tls: TlsFiles | None = None) -> None:
        self._timeout = timeout
        self._channel = open_channel(target, _OPTIONS, tls, silence=Silence)
        self._stub: Any = agent_pb2_grpc.AgentServiceStub(self._channel)

    async def call(self, method: str, request: Message, authorization: str, *, within: float | None = None) -> Any:
        """Calls a unary method and returns its response. within: timeout in seconds, if not the default."""
        began, call = time.monotonic(), getattr(self._stub, method)
        try:
            reply = await call(request, timeout=within or self._timeout, metadata=_metadata(authorization, request))
        except grpc.aio.AioRpcError as error:
            self._channel.failed(error, began)
            if problem := handshake_problem(error):
                _log.warning(problem, f"the public API cannot be reached: {problem}")
            raise error_of(error) from None
        except Exception as error:
            _log.error(type(error).__name__, f"a call of the public API failed: {type(error).__name__}: {error}", error)
            raise _unreachable() from error
        self._channel.answered()
        return reply

    async def episode(self, episode_id: str, authorization: str) -> agent_pb2.Episode:
        """Returns the metadata of one episode."""
        request = agent_pb2.GetEpisodeRequest(episode_id=episode_id)
        episode: agent_pb2.Episode = (await self.call("GetEpisode", request, authorization)).episode
        return episode

    async def memory(
        self, episode_id: str, first: int, limit: int, authorization: str, *, incarnation: str = ""
    ) -> list[agent_pb2.MemoryStep]:
        """Returns up to `limit` committed steps from `first` on, without steps that are no longer retained.

        incarnation: of the episode that is meant; NOT_FOUND if another has its name.
        """
        request = agent_pb2.GetMemoryRequest(
            episode_id=episode_id, from_step=first, limit=limit, incarnation=incarnation, without_words=True
        )
        return list((await self.call("GetMemory", request, authorization)).steps)

    async def close(self) -> None:
        """Closes the channel and cancels its running calls."""
        await self._channel.close(None)


def error_of(error: grpc.aio.AioRpcError) -> ServiceError:
    """Converts a gRPC error into the typed error that the API sent."""
    trailers: Any = error.trailing_metadata() or ()
    details = dict(trailers).get(DETAILS_KEY)
    if isinstance(details, bytes):
        return from_status(status_pb2.Status.FromString(details))
    code = error.code()
    if code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}:  # CANCELLED: the API's server stopped or dropped it
        return _unreachable()
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:  # gRPC's own words may hold addresses
        return ServiceError(code, "", "the public API did not answer in time")
    return ServiceError(code, "", error.details() or code.name)


def _unreachable() -> ServiceError:
    return failure(errors_pb2.ERROR_REASON_API_UNAVAILABLE, "the public API cannot be reached", retry_after=1)


def _metadata(authorization: str, request: Message) -> tuple[tuple[str, str], ...]:
    return (*((("authorization", authorization),) if authorization else ()), *episode_metadata(request))
