"""Actions, action spaces and distributions over actions <-> the messages of the public contract."""

import numpy as np
from shelm.v1 import agent_pb2

from agent.action_space import ActionSpace, SingleSpace
from agent.policy.distributions import Categorical, Distribution, entropy_of
from agent.policy.heads import Choice, Part


def action_message(choice: Choice) -> agent_pb2.Action:
    """The message of an action; equal actions give equal bytes."""
    if isinstance(choice, dict):
        parts = [agent_pb2.NamedAction(name=name, action=action_message(part)) for name, part in choice.items()]
        return agent_pb2.Action(dict=agent_pb2.DictAction(parts=parts))
    if isinstance(choice, int):
        return agent_pb2.Action(discrete=choice)
    return agent_pb2.Action(continuous=agent_pb2.FloatVector(values=choice))


def read_action(action: agent_pb2.Action) -> Choice:
    """The reverse of `action_message`; an action that states nothing is the discrete action 0, as protobuf reads it."""
    if action.WhichOneof("kind") == "dict":
        return {part.name: _read_part(part.action) for part in action.dict.parts}
    return _read_part(action)


def _read_part(action: agent_pb2.Action) -> Part:
    if action.WhichOneof("kind") == "continuous":
        return np.array(action.continuous.values, np.float32)
    return action.discrete


def action_space_message(space: SingleSpace) -> agent_pb2.ActionSpace:
    """The message of an action space."""
    if isinstance(space, ActionSpace) and space.parts:
        parts = [
            agent_pb2.NamedActionSpace(name=name, space=action_space_message(part)) for name, part in space.parts.items()
        ]
        return agent_pb2.ActionSpace(dict=agent_pb2.DictActionSpace(parts=parts))
    if space.continuous is None:
        return agent_pb2.ActionSpace(discrete=space.discrete, names=space.names)
    low, high = (agent_pb2.FloatVector(values=bound) for bound in space.continuous.arrays())
    return agent_pb2.ActionSpace(continuous=space.size, names=space.names, low=low, high=high)


def distribution_message(distribution: Distribution) -> agent_pb2.ActionDistribution:
    """The message of a distribution over actions."""
    message = agent_pb2.ActionDistribution(entropy=entropy_of(distribution))
    if isinstance(distribution, dict):
        parts = [
            agent_pb2.NamedDistribution(name=name, distribution=distribution_message(part))
            for name, part in distribution.items()
        ]
        message.dict.parts.extend(parts)
    elif isinstance(distribution, Categorical):
        message.probabilities.values.extend(distribution.probabilities.tolist())
    else:
        message.normal.mean.extend(distribution.mean.tolist())
        message.normal.deviation.extend(distribution.deviation.tolist())
    return message
