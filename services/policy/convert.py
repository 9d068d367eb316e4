"""What is stored of an episode -> the messages of the public contract."""

import time

from google.protobuf.timestamp_pb2 import Timestamp
from shelm.v1 import agent_pb2

from services.policy.episodes import EpisodeState, Step


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
    )
