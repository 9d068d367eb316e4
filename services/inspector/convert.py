"""Converts messages of the public API to JSON values for the page.

Numbers keep their exact value; times are milliseconds since 1970; values that are unset or not finite become null. An action
is a number, a list of numbers, or an object with one of the two per part.
"""

import json
import math
from typing import Any

from google.protobuf.json_format import MessageToDict
from shelm.v1 import agent_pb2

Json = dict[str, Any]


def to_text(value: Any) -> str:
    """Returns compact JSON."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def episode_json(episode: agent_pb2.Episode) -> Json:
    """Converts an episode of the list."""
    return {
        "episode_id": episode.episode_id,
        "agent": episode.agent,
        "agent_digest": episode.agent_digest,
        "committed_step": episode.committed_step if episode.HasField("committed_step") else None,
        "ended": episode.ended,
        "deterministic": episode.deterministic,
        "create_time": episode.create_time.ToMilliseconds(),
        "update_time": episode.update_time.ToMilliseconds(),
        "memory_length": episode.memory_length,
        "total_reward": number_json(episode.total_reward) if episode.HasField("total_reward") else None,
        "branch": _branch(episode.branch) if episode.HasField("branch") else None,
    }


def _branch(branch: agent_pb2.Branch) -> Json:
    edits = [MessageToDict(edit, preserving_proto_field_name=True) for edit in branch.edits]
    return {"source_episode_id": branch.source_episode_id, "step": branch.step, "edits": edits}


def step_json(step: agent_pb2.MemoryStep) -> Json:
    """Converts one committed step."""
    return {
        "step": step.step,
        "tokens": tokens_json(step.tokens),
        "action": action_json(step.action),
        "value": number_json(step.value),
        "in_window": step.in_window,
        "time": step.time.ToMilliseconds(),
    }


def action_json(action: agent_pb2.Action) -> Any:
    """Converts an action of any kind; null if it is unset."""
    match action.WhichOneof("kind"):
        case "discrete":
            return action.discrete
        case "continuous":
            return [number_json(value) for value in action.continuous.values]
        case "dict":
            return {part.name: action_json(part.action) for part in action.dict.parts}
    return None


def agent_json(agent: agent_pb2.Agent) -> Json:
    """Converts an agent, with the fields of agent.proto."""
    return MessageToDict(agent, preserving_proto_field_name=True)


def details_json(details: agent_pb2.AgentDetails) -> Json:
    """Converts what a person may want to know of an agent."""
    model = (
        MessageToDict(details.language_model, preserving_proto_field_name=True)
        if details.HasField("language_model")
        else None
    )
    return {"card": details.card, "vocabulary": list(details.vocabulary), "language_model": model}


def explanation_json(reply: agent_pb2.ExplainStepResponse) -> Json:
    """Converts an explanation of a step."""
    return {
        "step": reply.step,
        "action": action_json(reply.action),
        "decision": _decision(reply.decision),
        "words": [_influence(one) for one in reply.words],
        "steps": [_influence(one) for one in reply.steps],
        "reach_from_step": reply.reach_from_step,
    }


def _influence(one: agent_pb2.Influence) -> Json:
    return {
        "tokens": tokens_json(one.tokens),
        "steps": list(one.steps),
        "change": number_json(one.change),
        "without": _decision(one.without),
    }


def _decision(decision: agent_pb2.Decision) -> Json:
    return {
        "probabilities": [number_json(value) for value in decision.probabilities],
        "most_probable": action_json(decision.most_probable),
        "value": number_json(decision.value),
    }


def tokens_json(tokens: Any) -> list[Json]:
    """Converts words."""
    return [{"text": one.text, "similarity": number_json(one.similarity), "id": one.id} for one in tokens]


def number_json(value: float) -> float | None:
    """Converts a number; null if it is not finite."""
    return value if math.isfinite(value) else None
