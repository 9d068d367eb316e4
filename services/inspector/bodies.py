"""The body of a POST, JSON -> a message of the public API, in protobuf's JSON form.

Failure policy: a body that is no such object is INVALID_ARGUMENT; one of more than MOST_BYTES is not read to its end.
"""

import json
from typing import TypeVar

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message
from starlette.requests import Request

from services.runtime.errors import invalid

M = TypeVar("M", bound=Message)
MOST_BYTES = 2**18
DEPTH = 16  # of objects in one another; an edit lies at 4


async def read_body(request: Request, message: M, *, example: str, needs: str = "") -> M:
    """Fills a message from the body. needs: a field that must be there, and alone counts."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise invalid("body", f"expected at most {MOST_BYTES:,} bytes, got more")
    try:
        if not isinstance(value := json.loads(body), dict):
            raise TypeError("no object")
        return ParseDict({needs: value[needs]} if needs else value, message, max_recursion_depth=DEPTH)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError, ParseError) as error:
        problem = f"{type(error).__name__}: {error}"[:200]
        raise invalid("body", f"expected JSON such as {example}, got {problem}") from None
