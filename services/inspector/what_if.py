"""WhatIf for the page: a JSON body -> a request, and the reply -> JSON.

The body is an object with `alternatives`, as WhatIfRequest has them in protobuf's JSON form. Failure policy: a body that is
no such object is INVALID_ARGUMENT; one of more than MOST_BYTES is not read to its end.
"""

import json

from google.protobuf.json_format import ParseDict, ParseError
from shelm.v1 import agent_pb2
from starlette.requests import Request

from services.inspector.convert import Json, action_json, number_json, tokens_json
from services.runtime.errors import invalid

MOST_BYTES = 2**18
DEPTH = 16  # of objects in one another; an edit lies at 4


async def read_alternatives(request: Request) -> list[agent_pb2.Alternative]:
    """The alternatives in a request's body."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise invalid("body", f"expected at most {MOST_BYTES:,} bytes, got more")
    try:
        value = json.loads(body)
        asked = ParseDict({"alternatives": value["alternatives"]}, agent_pb2.WhatIfRequest(), max_recursion_depth=DEPTH)
    except (KeyError, TypeError, ValueError, RecursionError, ParseError) as error:
        problem = f"{type(error).__name__}: {error}"[:200]
        raise invalid("body", f'expected JSON such as {{"alternatives": [{{"edits": [...]}}]}}, got {problem}') from None
    return list(asked.alternatives)


def what_if_json(reply: agent_pb2.WhatIfResponse) -> Json:
    """Converts what an agent would do with each memory."""
    return {
        "step": reply.step,
        "action": action_json(reply.action),
        "actual": _outcome(reply.actual),
        "alternatives": [_outcome(one) for one in reply.alternatives],
        "reach_from_step": reply.reach_from_step,
    }


def _outcome(outcome: agent_pb2.Outcome) -> Json:
    return {
        "distribution": _distribution(outcome.distribution),
        "most_probable": action_json(outcome.most_probable),
        "value": number_json(outcome.value),
        "change": number_json(outcome.change) if outcome.HasField("change") else None,
        "words": [{"step": one.step, "tokens": tokens_json(one.tokens)} for one in outcome.words],
    }


def _distribution(distribution: agent_pb2.ActionDistribution) -> Json:
    found: Json = {"entropy": number_json(distribution.entropy)}
    match distribution.WhichOneof("kind"):
        case "probabilities":
            found["probabilities"] = [number_json(value) for value in distribution.probabilities.values]
        case "normal":
            found["mean"] = [number_json(value) for value in distribution.normal.mean]
            found["deviation"] = [number_json(value) for value in distribution.normal.deviation]
        case "dict":
            found["parts"] = {part.name: _distribution(part.distribution) for part in distribution.dict.parts}
    return found
