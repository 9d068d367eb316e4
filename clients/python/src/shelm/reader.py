# Generated from aio/reader.py by tools/unasync_client.py (`make client`). Not edited by hand.
"""The reading half of the client: episodes, memories, agents, health. Changes nothing at the server.

Every method raises `ShelmError`. Iterators read page by page, and repeat a page (or open a stream again where it
broke) without losing or repeating a step.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shelm.convert import agent_from, episode_from, explanation_from, memory_step_from
from shelm.errors import ShelmError
from shelm.observation import decode
from shelm.requests import Requests, natural
from shelm.results import Agent, EpisodeInfo, Explanation, MemoryStep
from shelm.transport import Transport
from shelm.v1 import agent_pb2

STREAM_LIVED = 30.0  # seconds; a stream that broke later than this had been open, even if no step came
PAGE = 1000  # episodes; the server's limit
NEVER = float("-inf")


class Reader:
    """Reads what the server knows; `Actor` adds acting."""

    def __init__(self, transport: Transport, requests: Requests) -> None:
        """Reads through `transport` what `requests` ask for."""
        self._transport, self._requests = transport, requests

    def get_episode(self, episode_id: str) -> EpisodeInfo:
        """Returns what is known of one episode; raises EpisodeNotFound."""
        response = self._transport.call("GetEpisode", agent_pb2.GetEpisodeRequest(episode_id=episode_id))
        return episode_from(response.episode)

    def list_episodes(self) -> Iterator[EpisodeInfo]:
        """Yields the episodes that have not expired, in no particular order."""
        page_token = ""
        while True:
            request = agent_pb2.ListEpisodesRequest(page_size=PAGE, page_token=page_token)
            page = self._transport.call("ListEpisodes", request)
            for episode in page.episodes:
                yield episode_from(episode)
            page_token = page.next_page_token
            if not page_token:
                return

    def memory(self, episode_id: str, from_step: int = 0) -> Iterator[MemoryStep]:
        """Yields the remembered words from `from_step` to the last committed step, oldest first; raises EpisodeNotFound."""
        while True:
            request = agent_pb2.GetMemoryRequest(episode_id=episode_id, from_step=natural("from_step", from_step))
            response = self._transport.call("GetMemory", request)
            if not response.steps:
                return
            for step in response.steps:
                yield memory_step_from(step)
            from_step = response.steps[-1].step + 1

    def watch_memory(self, episode_id: str, from_step: int = 0) -> Iterator[MemoryStep]:
        """Yields the words as they are committed; returns when the episode ends or expires. Close it to stop earlier.

        A stream that breaks is opened again at the next step, with a fresh retry budget if it had been alive.
        """
        attempts = self._transport.attempts()
        while True:
            opened = time.monotonic()
            request = agent_pb2.WatchMemoryRequest(episode_id=episode_id, from_step=natural("from_step", from_step))
            try:
                with self._transport.stream("WatchMemory", request) as responses:
                    for response in responses:
                        from_step = response.step.step + 1
                        opened = NEVER  # it is alive
                        yield memory_step_from(response.step)
                return
            except ShelmError as error:
                if time.monotonic() - opened > STREAM_LIVED:
                    attempts = self._transport.attempts()
                if not attempts.wait(error):
                    raise

    def explain(self, episode_id: str, step: int, observation: Any = None, max_steps: int = 0) -> Explanation:
        """Returns which words of the past decided a committed step.

        `observation` is the frame that was committed with it, None for the one that the server recorded. `max_steps`
        1..1000 is how many of the latest earlier steps to take away one by one, 0 the server's 64. It costs a run of
        the memory for each comparison: give the client a `timeout` to match. Raises FrameNeeded if the server has
        no frame, StepConflict for another frame, StepTooOld, EpisodeNotFound.
        """
        request = self._requests.explain(episode_id, step, observation, max_steps)
        return explanation_from(self._transport.call("ExplainStep", request))

    def frame(self, episode_id: str, step: int) -> NDArray[np.uint8]:
        """Returns the recorded frame of a step, uint8 (height, width, 3); raises RecordingOff or FrameNotRecorded."""
        request = agent_pb2.GetFrameRequest(episode_id=episode_id, step=natural("step", step))
        response = self._transport.call("GetFrame", request)
        return decode(response.frame)

    def agents(self) -> list[Agent]:
        """Returns the agents that the server can serve, the default first."""
        response = self._transport.call("ListAgents", agent_pb2.ListAgentsRequest())
        return [agent_from(agent) for agent in response.agents]

    def agent(self, name: str = "") -> Agent:
        """Returns one agent by name or digest, the default for an empty name; raises AgentNotFound."""
        response = self._transport.call("GetAgent", agent_pb2.GetAgentRequest(agent=name))
        return agent_from(response.agent)

    def ping(self) -> float:
        """Returns the seconds that one health check took; raises Unavailable if the server is away or does not serve."""
        return self._transport.ping()
