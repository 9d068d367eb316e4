"""Builds protobuf requests from Python values, for both clients. An invalid value raises InvalidArgument."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, TypeVar

from shelm.boundary import invalid
from shelm.cursor import Cursor
from shelm.edit_messages import alternative_message, edit_messages
from shelm.edits import AnyAlternative, Edit
from shelm.observation import Encoding, encode
from shelm.v1 import agent_pb2

R = TypeVar("R", agent_pb2.ActRequest, agent_pb2.CreateEpisodeRequest, agent_pb2.BranchEpisodeRequest)


class Requests:
    """Builds requests with the settings that they share: the agent of new episodes and the encoding of frames."""

    def __init__(self, *, agent: str, encoding: Encoding) -> None:
        """`agent` is the agent of new episodes ("" for the server's default), `encoding` is "raw" or "png"."""
        if encoding not in ("raw", "png"):
            raise invalid("encoding", f"expected 'raw' or 'png', given {encoding!r}")
        self._agent, self._encoding = text("agent", agent), encoding

    @property
    def agent(self) -> str:
        """The agent of new episodes, "" for the server's default."""
        return self._agent

    def image(self, observation: Any) -> agent_pb2.Image:
        """Returns the Image of a uint8 array (height, width, 3)."""
        return encode(observation, self._encoding)

    def act(
        self,
        episode_id: str,
        cursor: Cursor,
        frame: agent_pb2.Image,
        step: int | None,
        deterministic: bool | None,
        *,
        distribution: bool = False,
    ) -> agent_pb2.ActRequest:
        """Returns the request for `step`, None meaning the cursor's."""
        step = cursor.next_step if step is None else natural("step", step)
        agent = self._agent if step == 0 and cursor.names_agent else ""  # later steps use the episode's own agent
        request = agent_pb2.ActRequest(episode_id=text("episode_id", episode_id), step=step, observation=frame, agent=agent)
        request.distribution = distribution
        return _with_deterministic(request, deterministic)

    def create(
        self, episode_id: str, agent: str | None, seed: int | None, deterministic: bool | None
    ) -> agent_pb2.CreateEpisodeRequest:
        """Returns the request for a new episode; `agent` None means the client's agent."""
        agent, episode_id = text("agent", self._agent if agent is None else agent), text("episode_id", episode_id)
        seed = None if seed is None else natural("seed", seed)
        request = agent_pb2.CreateEpisodeRequest(episode_id=episode_id, agent=agent, seed=seed)
        return _with_deterministic(request, deterministic)

    def branch(
        self,
        episode_id: str,
        source: str,
        step: int,
        edits: Sequence[Edit],
        *,
        seed: int | None,
        deterministic: bool | None,
    ) -> agent_pb2.BranchEpisodeRequest:
        """Returns the request for an episode that goes on from a step of another one."""
        request = agent_pb2.BranchEpisodeRequest(
            episode_id=text("episode_id", episode_id),
            source_episode_id=text("source", source),
            step=natural("step", step),
            edits=edit_messages(edits),
            seed=None if seed is None else natural("seed", seed),
        )
        return _with_deterministic(request, deterministic)

    def explain(self, episode_id: str, step: int, observation: Any, max_steps: int) -> agent_pb2.ExplainStepRequest:
        """Returns the request to explain a step; `observation` None means the frame that the server recorded."""
        frame = None if observation is None else self.image(observation)
        step, max_steps, episode_id = natural("step", step), natural("max_steps", max_steps), text("episode_id", episode_id)
        return agent_pb2.ExplainStepRequest(episode_id=episode_id, step=step, observation=frame, max_steps=max_steps)

    def what_if(
        self, episode_id: str, step: int, alternatives: Sequence[AnyAlternative], observation: Any
    ) -> agent_pb2.WhatIfRequest:
        """Returns the request to decide a step again; `observation` None means the frame that the server recorded."""
        return agent_pb2.WhatIfRequest(
            episode_id=text("episode_id", episode_id),
            step=natural("step", step),
            observation=None if observation is None else self.image(observation),
            alternatives=[alternative_message(one) for one in alternatives],
        )


def end_request(episode_id: str, total_reward: float | None) -> agent_pb2.EndEpisodeRequest:
    """Returns the request to end an episode; `total_reward` None omits the reward."""
    if total_reward is not None and not math.isfinite(total_reward):
        raise invalid("total_reward", f"expected a finite number, given {total_reward}")
    return agent_pb2.EndEpisodeRequest(episode_id=text("episode_id", episode_id), total_reward=total_reward)


def natural(field: str, value: int) -> int:
    """Returns the value, of any integer type; raises InvalidArgument if it does not fit into the protocol's unsigned fields,
    and for a fraction, which would be cut.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise invalid(field, f"expected an integer, given {value!r}") from None
    if 0 <= number < 2**64:
        return number
    raise invalid(field, f"expected 0 .. 2**64 - 1, given {value}")


def text(field: str, value: str) -> str:
    """Returns the value; raises InvalidArgument for a name that is no str, such as the number of an episode."""
    if isinstance(value, str):
        return str(value)
    raise invalid(field, f'expected a str, given {value!r}; for a number write f"episode-{{number}}"')


def _with_deterministic(request: R, deterministic: bool | None) -> R:
    """Returns the request; None leaves the field unset."""
    if deterministic is not None:
        request.deterministic = deterministic
    return request
