"""Agent and environment compared before the first step, so that a run that cannot mean anything does not begin.

Contract: an agent's actions are those of gymnasium's Discrete from 0, of a one-dimensional Box, or of a Dict of these; the
environment must take exactly these. Bounds must be equal, except that an infinite bound of the environment admits every
action. Its frames must have the agent's shape. Failure policy: EnvironmentMismatch names both sides. What an
environment does not declare, or a token may not read, is not compared; the server still checks each frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shelm.boundary import as_frame, frame_of, grey_as_rgb
from shelm.client import Client
from shelm.errors import EnvironmentMismatch, PermissionDenied
from shelm.results import ActionSpace, Agent, Continuous, Discrete

KINDS = ("Discrete", "Box", "Dict")


class Comparison:
    """One agent of a server, against the environment that it is to act in."""

    def __init__(self, client: Client, agent: str = "") -> None:
        """`agent` is its name or digest, "" the client's agent. Nothing is asked of the server yet."""
        self.client, self._name = client, agent

    def actions(self, env: Any) -> None:
        """Compares the actions with an environment, or with one of a vector of them; raises EnvironmentMismatch."""
        space = getattr(env, "single_action_space", None) or getattr(env, "action_space", None)
        if space is None or self._agent is None or _agrees(self._agent.action_space, space):
            return
        raise EnvironmentMismatch(
            f"the agent {self._agent.name} acts with {_text(self._agent.action_space)}, the environment takes {space}"
            + (_shift(space) if isinstance(self._agent.action_space, Discrete) else "")
        )

    def seen(self, observation: Any) -> NDArray[np.uint8]:
        """Returns the frame in one environment's observation, as it is sent to this agent; raises InvalidArgument."""
        frame = frame_of(observation)
        return as_frame(grey_as_rgb(frame) if self._agent is not None and self._agent.channels == 1 else frame)

    def frame(self, observation: Any) -> None:
        """Compares the shape of the frame in one environment's observation; raises EnvironmentMismatch."""
        shape = self.seen(observation).shape
        if self._agent is not None and shape != self._agent.observation_shape:
            sees = "x".join(map(str, self._agent.observation_shape))
            shows = "x".join(map(str, shape))
            raise EnvironmentMismatch(f"the agent {self._agent.name} sees frames of {sees}, the environment shows {shows}")

    @cached_property
    def _agent(self) -> Agent | None:
        try:
            return self.client.agent(self._name or self.client.default_agent)
        except PermissionDenied:  # the token may act, but not read
            return None


def _agrees(mine: ActionSpace, theirs: Any) -> bool:
    kind = next((cls.__name__ for cls in type(theirs).__mro__ if cls.__name__ in KINDS), "")
    if isinstance(mine, dict):
        return kind == "Dict" and set(theirs.spaces) == set(mine) and all(_agrees(mine[n], theirs[n]) for n in mine)
    if isinstance(mine, Continuous):
        return kind == "Box" and theirs.shape == (len(mine.low),) and _bounded(mine, theirs)
    return kind == "Discrete" and (int(theirs.n), int(getattr(theirs, "start", 0))) == (mine.n, 0)


def _bounded(mine: Continuous, theirs: Any) -> bool:
    pairs = ((np.asarray(mine.low), theirs.low), (np.asarray(mine.high), theirs.high))
    return all(bool(np.all(np.isclose(ours, bound, rtol=1e-5) | np.isinf(bound))) for ours, bound in pairs)


def _text(space: ActionSpace) -> str:
    if isinstance(space, Mapping):
        return "Dict(" + ", ".join(f"{name}: {_text(part)}" for name, part in space.items()) + ")"
    if isinstance(space, Discrete):
        return f"Discrete({space.n}) from 0" + (f" ({', '.join(space.names)})" if space.names else "")
    return f"Box({_bound(space.low)}, {_bound(space.high)}, ({len(space.low)},))"


def _bound(values: tuple[float, ...]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else "[" + " ".join(f"{value:g}" for value in values) + "]"


def _shift(space: Any) -> str:
    start = int(getattr(space, "start", 0))
    return f": add {start} to each action (gymnasium.wrappers.TransformAction) if they mean the same" if start else ""
