"""Episodes of MiniGrid-Memory through a real server, with ground truth from the environment's state.

- The cue is the object in the start room, a key or a ball; the agent must turn to the same object at the fork.
- A sighting is a step before the fork at which the cue was in the agent's field of view and not hidden by a wall.
- The fork is the last step at which the agent stood in the cell between the two objects and its action turned it from
  looking along the corridor to looking at one of them. An episode without such a step has no fork.

Failure policy: an error of the server ends the run.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from shelm.v1 import agent_pb2, agent_pb2_grpc

from deploy.local.redis_server import redis_command
from deploy.local.stack import free_port

SECONDS = 120.0  # timeout of one call
ALONG, ACROSS = (0, 2), (1, 3)  # MiniGrid's directions: east and west, south and north


@contextmanager
def served(bundle: str) -> Iterator[Any]:
    """Runs a standalone server with one agent on its own Redis; returns a stub of AgentService."""
    with served_at(bundle) as target, agent_stub(target) as stub:
        yield stub


@contextmanager
def agent_stub(target: str) -> Iterator[Any]:
    """A stub of the AgentService at this address, once it answers."""
    with grpc.insecure_channel(target) as channel:
        stub: Any = agent_pb2_grpc.AgentServiceStub(channel)
        stub.ListAgents(agent_pb2.ListAgentsRequest(), wait_for_ready=True, timeout=SECONDS)
        yield stub


@contextmanager
def served_at(bundle: str) -> Iterator[str]:
    """Runs a standalone server with one agent on its own Redis; returns its address, where it may not answer yet."""
    with tempfile.TemporaryDirectory() as folder:
        port, target = free_port(), f"127.0.0.1:{free_port()}"
        settings = {"LISTEN": target, "REDIS_URL": f"redis://127.0.0.1:{port}/0", "AGENTS": bundle, "LOG_LEVEL": "WARNING"}
        env = {**os.environ, **{f"SHELM_{name}": value for name, value in settings.items()}}
        log = subprocess.DEVNULL
        processes = [subprocess.Popen(redis_command(port, Path(folder)), stdout=log, stderr=log)]
        try:
            processes.append(subprocess.Popen([sys.executable, "-m", "services.standalone"], env=env))
            yield target
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait(30)


class Room:
    """The ground truth in the environment's state."""

    def __init__(self, env: Any) -> None:
        self._env = env.unwrapped
        self._cue_at = (1, self._env.height // 2 - 1)
        self._fork = (self._env.success_pos[0], self._env.height // 2)

    @property
    def cue(self) -> str:
        """The object in the start room."""
        return str(self._env.grid.get(*self._cue_at).type)

    def cue_in_view(self) -> bool:
        """Whether the agent currently sees the cue."""
        return bool(self._env.agent_sees(*self._cue_at))

    @property
    def pose(self) -> tuple[bool, int]:
        """Whether the agent is at the fork, and its direction."""
        return tuple(self._env.agent_pos) == self._fork, int(self._env.agent_dir)

    def facing(self) -> str:
        """The object that the agent faces at the fork."""
        (x, y), up = self._env.agent_pos, self._env.agent_dir == 3
        return str(self._env.grid.get(x, y - 2 if up else y + 2).type)


def image_of(frame: NDArray[Any]) -> agent_pb2.Image:
    """Returns the frame as a message with raw pixels."""
    height, width, _ = frame.shape
    return agent_pb2.Image(encoding=agent_pb2.ENCODING_RAW_RGB8, height=height, width=width, data=frame.tobytes())


def frame_of(image: agent_pb2.Image) -> NDArray[np.uint8]:
    """The reverse of `image_of`."""
    return np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3)


@dataclass
class Played:
    """An episode that has ended."""

    name: str
    cue: str
    total: float = 0.0
    words: list[str] = field(default_factory=list)  # of each step
    sightings: list[int] = field(default_factory=list)  # steps
    fork: int | None = None
    fork_frame: agent_pb2.Image | None = None
    turned_to: str = ""


def play(stub: Any, env: Any, seed: int, *, deterministic: bool = False) -> Played:
    """Plays one episode; the seed is used for the environment and for sampling actions."""
    name = f"explain-{seed}"
    created = agent_pb2.CreateEpisodeRequest(episode_id=name, seed=seed, deterministic=deterministic)
    stub.CreateEpisode(created, timeout=SECONDS)
    frame, _ = env.reset(seed=seed)
    room, done = Room(env), False
    played = Played(name, room.cue)
    while not done:
        step, image, before = len(played.words), image_of(frame), room.pose
        if room.cue_in_view():
            played.sightings.append(step)
        act = stub.Act(agent_pb2.ActRequest(episode_id=name, step=step, observation=image), timeout=SECONDS)
        played.words.append(" ".join(token.text for token in act.tokens))
        frame, reward, terminated, truncated, _ = env.step(act.action.discrete)
        if before[0] and before[1] in ALONG and room.pose[0] and room.pose[1] in ACROSS:
            played.fork, played.fork_frame, played.turned_to = step, image, room.facing()
        played.total, done = played.total + float(reward), bool(terminated or truncated)
    stub.EndEpisode(agent_pb2.EndEpisodeRequest(episode_id=name, total_reward=played.total), timeout=SECONDS)
    return played
