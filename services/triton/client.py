"""A connection to one Triton Inference Server.

Contract: `infer` sends one row and returns its outputs. The caller's deadline applies to the request, and a caller that
disconnects cancels it. The channel reconnects automatically, so a restarted Triton is used from the next call on, and is
replaced if it falls silent.

Failure policy: if Triton, a model or its process is away, the error is UNAVAILABLE (MODEL_UNAVAILABLE) with push-back; if a
model failed on the request, it is INTERNAL (MODEL_FAILED), with the details in the log only; if too many requests are in
flight, it is RESOURCE_EXHAUSTED. Whatever else the client library raises is MODEL_UNAVAILABLE, logged with its traceback.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

import grpc
import numpy as np
import tritonclient.grpc.aio as triton
from numpy.typing import NDArray
from shelm.channel import Silence, channel_options
from shelm.v1 import errors_pb2
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from services.protocol.reasons import failure
from services.runtime.errors import ServiceError, deadline_passed, queue_full
from services.runtime.logs import Sparse

log = logging.getLogger(__name__)
_log = Sparse(log)
Row = Mapping[str, NDArray[Any]]  # tensors by name, without the batch dimension
READY_TIMEOUT = 1.0  # seconds
RETRY_AFTER = 0.5
DEAD = "is not healthy"  # what the Python backend says of a model whose process has ended


class Triton:
    """One connection to a Triton server."""

    def __init__(self, target: str, *, timeout: float, max_in_flight: int) -> None:
        """Opens a channel. target: HOST:PORT of Triton's gRPC endpoint. timeout: seconds, for callers without a deadline of
        their own.
        """
        self.target, self._timeout, self._max_in_flight = target, timeout, max_in_flight
        self._client, self._silence = _connect(target), Silence()
        self._retired: Any = None
        self._in_flight = 0

    async def missing(self, models: Iterable[str]) -> list[str]:
        """Returns what is not ready; empty if all models are ready."""
        answers = await asyncio.gather(*(self._ready(model) for model in models))
        return [answer for answer in answers if answer]

    async def _ready(self, model: str) -> str:
        began = time.monotonic()
        try:
            ready = await self._client.is_model_ready(model, client_timeout=READY_TIMEOUT)
        except Exception as error:  # a readiness check that fails is an answer: not ready
            await self._failed(error, began)
            return f"triton {self.target}: {_code(error).name}"
        self._silence.answered()
        return "" if ready else f"triton {self.target}: model {model} is not ready"

    async def infer(self, model: str, row: Row, *, deadline: float | None) -> dict[str, NDArray[Any]]:
        """Sends one row to a model; returns its outputs without the batch dimension."""
        if self._in_flight >= self._max_in_flight:
            raise queue_full(model)
        left = self._timeout if deadline is None else deadline - time.monotonic()
        if left <= 0:
            raise deadline_passed()
        tensors = [_tensor(*named) for named in row.items()]
        self._in_flight, began = self._in_flight + 1, time.monotonic()
        try:
            result = await self._client.infer(model, tensors, client_timeout=left)
        except Exception as error:
            await self._failed(error, began)
            raise self._error(model, error) from error
        finally:
            self._in_flight -= 1
        self._silence.answered()
        names = [output.name for output in result.get_response().outputs]
        return {name: result.as_numpy(name)[0] for name in names}

    async def _failed(self, error: Exception, began: float) -> None:
        """Connects anew if nothing has come for a while. Calls under way may still end on the connection before."""
        if _code(error) is grpc.StatusCode.DEADLINE_EXCEEDED and self._silence.passed(began):
            log.warning("nothing comes from triton %s; connecting anew", self.target)
            before, self._retired = self._retired, self._client
            self._client, self._silence = _connect(self.target), Silence()
            if before:
                await before.close()

    def _error(self, model: str, error: Exception) -> ServiceError:
        code = _code(error)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return failure(errors_pb2.ERROR_REASON_DEADLINE, f"model {model} did not answer before the caller's deadline")
        if code is grpc.StatusCode.INTERNAL and DEAD in str(error):
            log.error("the process of model %s is gone: %s", model, error)
            return unreachable(f"the process of model {model} in Triton has ended; an operator must load the model again")
        if code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT):
            log.error("model %s failed: %s", model, error)
            return failure(errors_pb2.ERROR_REASON_MODEL_FAILED, f"model {model} failed")
        if not isinstance(error, (InferenceServerException, grpc.RpcError)):
            _log.error(type(error).__name__, f"a call of Triton failed: {type(error).__name__}: {error}", error)
        return unreachable(f"the model server cannot be reached: {code.name}")


def unreachable(text: str) -> ServiceError:
    """UNAVAILABLE with the reason of a model server that is away."""
    return failure(errors_pb2.ERROR_REASON_MODEL_UNAVAILABLE, text, retry_after=RETRY_AFTER)


def _connect(target: str) -> Any:
    return triton.InferenceServerClient(target, channel_args=channel_options(reconnect=1.0))


def text_tensor(text: str) -> NDArray[Any]:
    """Converts a string to a Triton tensor."""
    return np.array([text.encode()], dtype=np.object_)


def text_of(tensor: NDArray[Any]) -> str:
    """Converts a Triton tensor back to a string."""
    value: bytes = tensor[0]
    return value.decode()


def _tensor(name: str, value: NDArray[Any]) -> Any:
    batch = value[None]
    tensor = triton.InferInput(name, list(batch.shape), np_to_triton_dtype(batch.dtype))
    tensor.set_data_from_numpy(batch)
    return tensor


def _code(error: Exception) -> grpc.StatusCode:
    """Returns the gRPC code of an exception; tritonclient's have a status such as "StatusCode.UNAVAILABLE", others none."""
    if isinstance(error, grpc.aio.AioRpcError):
        return error.code()
    text = str(error.status() or "").rpartition(".")[2] if isinstance(error, InferenceServerException) else ""
    return next((code for code in grpc.StatusCode if code.name == text), grpc.StatusCode.UNKNOWN)
