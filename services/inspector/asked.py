"""What the inspector's handlers read from a request: names, numbers, JSON bodies; and how they answer JSON.

Failure policy: what is wrong is INVALID_ARGUMENT, which names the field; a body of more than MOST_BYTES is not read to its
end.
"""

import json
from typing import Any, TypeVar

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from services.runtime.errors import invalid

MOST_BYTES = 2**18
DEPTH = 16  # of objects in one another; an edit lies at 4
NO_STORE = {"Cache-Control": "no-store"}
M = TypeVar("M", bound=Message)


def answer(value: Any) -> Response:
    """Answers a value as JSON."""
    return JSONResponse(value, headers=NO_STORE)


def episode_name(request: Request) -> str:
    """Returns the episode that the address names."""
    name: str = request.path_params["episode_id"]
    return name


def step_number(request: Request) -> int:
    """Returns the step that the address names."""
    return _whole("step", request.path_params["step"], 2**64 - 1)


def number(request: Request, field: str, default: int) -> int:
    """Returns a number of the address's query."""
    return _whole(field, request.query_params.get(field, str(default)), 2**32 - 1)


def _whole(field: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 20 or int(text) > most:
        raise invalid(field, f"expected a number, 0 .. {most}, got {text[:40]!r}")
    return int(text)


async def read_fields(request: Request, message: M, fields: tuple[str, ...], example: str) -> M:
    """Reads these fields of the body, a JSON object, into a message, in protobuf's JSON form; all of them must be there.

    Without names of fields the whole body is read, whichever of the message's fields it has.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise invalid("body", f"expected at most {MOST_BYTES:,} bytes, got more")
    try:
        if not isinstance(value := json.loads(body), dict):
            raise TypeError("no object")
        read = {name: value[name] for name in fields} if fields else value
        return ParseDict(read, message, max_recursion_depth=DEPTH)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError, ParseError) as error:
        problem = f"{type(error).__name__}: {error}"[:200]
        raise invalid("body", f"expected JSON such as {example}, got {problem}") from None
