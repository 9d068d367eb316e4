"""WhatIf for the page: a JSON body -> alternatives, as WhatIfRequest has them in protobuf's JSON form; the reply -> JSON."""

from shelm.v1 import agent_pb2
from starlette.requests import Request

from services.inspector.asked import read_fields
from services.inspector.convert import Json, action_json, number_json, tokens_json

_EXAMPLE = '{"alternatives": [{"edits": [...]}]}'


async def read_alternatives(request: Request) -> list[agent_pb2.Alternative]:
    """Returns the alternatives in a request's body."""
    asked = await read_fields(request, agent_pb2.WhatIfRequest(), ("alternatives",), _EXAMPLE)
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
