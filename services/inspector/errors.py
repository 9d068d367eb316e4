"""Converts typed errors of the public API to HTTP responses: a status and `{code, reason, message, retry_after}`."""

import grpc
from shelm.v1 import errors_pb2
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from services.protocol.reasons import failure
from services.runtime.errors import ServiceError

_Code = grpc.StatusCode
_STATUS = {
    _Code.INVALID_ARGUMENT: 400,
    _Code.OUT_OF_RANGE: 410,  # the step is no longer retained
    _Code.UNAUTHENTICATED: 401,
    _Code.PERMISSION_DENIED: 403,
    _Code.NOT_FOUND: 404,
    _Code.ABORTED: 409,
    _Code.ALREADY_EXISTS: 409,
    _Code.FAILED_PRECONDITION: 412,
    _Code.RESOURCE_EXHAUSTED: 429,
    _Code.UNIMPLEMENTED: 501,
    _Code.UNAVAILABLE: 503,
    _Code.DEADLINE_EXCEEDED: 504,
}


def error_json(error: ServiceError) -> dict[str, object]:
    """Returns the JSON body of an error."""
    return {
        "code": error.code.name,
        "reason": error.reason or error.code.name,
        "message": error.message,
        "retry_after": error.retry_after,
    }


def status_of(error: ServiceError) -> int:
    """Returns the HTTP status of an error; 500 if its code has no status of its own."""
    return _STATUS.get(error.code, 500)


async def error_response(_: Request, error: Exception) -> Response:
    """Handles a ServiceError for Starlette."""
    assert isinstance(error, ServiceError)
    headers = {"Cache-Control": "no-store"}
    if error.code is _Code.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    return JSONResponse(error_json(error), status_of(error), headers)


async def internal_error(request: Request, _: Exception) -> Response:
    """Handles any other exception for Starlette: logs it with its traceback."""
    text = "internal error of the inspector; its log tells more"
    return await error_response(request, failure(errors_pb2.ERROR_REASON_INTERNAL, text))
