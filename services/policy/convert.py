"""Actions, action spaces, and what is stored of an episode -> the messages of the public contract."""

import time

from google.protobuf.timestamp_pb2 import Timestamp
from shelm.v1 import agent_pb2

from services.domain.action_space import ActionSpace, SingleSpace
from services.policy.episodes import EpisodeState, Step
from services.policy.heads import Choice


def action_message(choice: Choice) -> agent_pb2.Action:
    """What was chosen; equal choices are equal bytes."""
    if isinstance(choice, dict):
        parts = [agent_pb2.NamedAction(name=name, action=action_message(part)) for name, part in choice.items()]
        return agent_pb2.Action(dict=agent_pb2.DictAction(parts=parts))
    if isinstance(choice, int):
        return agent_pb2.Action(discrete=choice)
    return agent_pb2.Action(continuous=agent_pb2.FloatVector(values=choice))


def action_space_message(space: SingleSpace) -> agent_pb2.ActionSpace:
    """What clients are told of an action space."""
    if isinstance(space, ActionSpace) and space.parts:
        parts = [
            agent_pb2.NamedActionSpace(name=name, space=action_space_message(part)) for name, part in space.parts.items()
        ]
        return agent_pb2.ActionSpace(dict=agent_pb2.DictActionSpace(parts=parts))
    if space.continuous is None:
        return agent_pb2.ActionSpace(discrete=space.discrete, names=space.names)
    low, high = (agent_pb2.FloatVector(values=bound) for bound in space.continuous.arrays())
    return agent_pb2.ActionSpace(continuous=space.size, names=space.names, low=low, high=high)


def memory_step(state: EpisodeState, step: int, record: Step, *, window: int) -> agent_pb2.MemoryStep:
    """A committed step; `state` says how far the episode has gone, which decides what the window still holds."""
    newest = (step + 1) * len(record.tokens) - 1  # position of the step's last word
    return agent_pb2.MemoryStep(
        step=step,
        tokens=record.tokens,
        action=record.action,
        in_window=newest > state.length - window,
        time=record.time,
        value=record.value,
    )


def _timestamp(micros: int) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMicroseconds(micros)
    return stamp


def episode_message(state: EpisodeState) -> agent_pb2.Episode:
    """What is known of an episode."""
    return agent_pb2.Episode(
        episode_id=state.episode_id,
        agent=state.agent,
        agent_digest=state.agent_digest,
        seed=state.seed,
        deterministic=state.deterministic,
        committed_step=state.committed if state.committed >= 0 else None,
        ended=state.ended,
        create_time=_timestamp(state.created_us),
        update_time=_timestamp(state.updated_us),
        expire_time=_timestamp(time.time_ns() // 1000 + state.ttl_ms * 1000),
        memory_length=state.length,
        total_reward=state.total_reward,
    )
