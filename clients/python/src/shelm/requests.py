"""Builds protobuf requests from Python values, for both clients. An invalid value raises InvalidArgument."""

from __future__ import annotations

import math
from typing import Any, TypeVar

from shelm.cursor import Cursor
from shelm.errors import FieldViolation, InvalidArgument
from shelm.observation import Encoding, encode
from shelm.v1 import agent_pb2

R = TypeVar("R", agent_pb2.ActRequest, agent_pb2.CreateEpisodeRequest)


class Requests:
    """Builds requests with the settings that they share: the agent of new episodes and the encoding of frames."""

    def __init__(self, *, agent: str, encoding: Encoding) -> None:
        """`agent` is the agent of new episodes ("" for the server's default), `encoding` is "raw" or "png"."""
        if encoding not in ("raw", "png"):
            raise InvalidArgument(f"encoding: expected 'raw' or 'png', given {encoding!r}")
        self._agent, self._encoding = agent, encoding

    def image(self, observation: Any) -> agent_pb2.Image:
        """Returns the Image of a uint8 array (height, width, 3)."""
        return encode(observation, self._encoding)

    def act(
        self, episode_id: str, cursor: Cursor, frame: agent_pb2.Image, step: int | None, deterministic: bool | None
    ) -> agent_pb2.ActRequest:
        """Returns the request for `step`, None meaning the cursor's."""
        step = cursor.next_step if step is None else natural("step", step)
        agent = self._agent if step == 0 and cursor.names_agent else ""  # later steps use the episode's own agent
        request = agent_pb2.ActRequest(episode_id=episode_id, step=step, observation=frame, agent=agent)
        return _with_deterministic(request, deterministic)

    def create(
        self, episode_id: str, agent: str | None, seed: int | None, deterministic: bool | None
    ) -> agent_pb2.CreateEpisodeRequest:
        """Returns the request for a new episode; `agent` None means the client's agent."""
        agent = self._agent if agent is None else agent
        seed = None if seed is None else natural("seed", seed)
        request = agent_pb2.CreateEpisodeRequest(episode_id=episode_id, agent=agent, seed=seed)
        return _with_deterministic(request, deterministic)

    def explain(self, episode_id: str, step: int, observation: Any, max_steps: int) -> agent_pb2.ExplainStepRequest:
        """Returns the request to explain a step; `observation` None means the frame that the server recorded."""
        frame = None if observation is None else self.image(observation)
        step, max_steps = natural("step", step), natural("max_steps", max_steps)
        return agent_pb2.ExplainStepRequest(episode_id=episode_id, step=step, observation=frame, max_steps=max_steps)


def end_request(episode_id: str, total_reward: float | None) -> agent_pb2.EndEpisodeRequest:
    """Returns the request to end an episode; `total_reward` None omits the reward."""
    if total_reward is not None and not math.isfinite(total_reward):
        raise _invalid("total_reward", f"expected a finite number, given {total_reward}")
    return agent_pb2.EndEpisodeRequest(episode_id=episode_id, total_reward=total_reward)


def natural(field: str, value: int) -> int:
    """Returns the value; raises InvalidArgument if it does not fit into the protocol's unsigned fields."""
    if 0 <= value < 2**64:
        return int(value)
    raise _invalid(field, f"expected 0 .. 2**64 - 1, given {value}")


def _with_deterministic(request: R, deterministic: bool | None) -> R:
    """Returns the request; None leaves the field unset."""
    if deterministic is not None:
        request.deterministic = deterministic
    return request


def _invalid(field: str, text: str) -> InvalidArgument:
    return InvalidArgument(f"{field}: {text}", reason="INVALID_FIELD", field_violations=[FieldViolation(field, text)])
