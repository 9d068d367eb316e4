# Generated from aio/reader.py by tools/unasync_client.py (`make client`). Not edited by hand.
"""The reading part of the client: episodes, memories, agents, health. It changes nothing on the server.

Every method raises `ShelmError`. Iterators read page by page, and retry a page (or reopen a broken stream) without losing or
repeating a step.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shelm.convert import (
    agent_from,
    comparison_from,
    episode_from,
    explanation_from,
    found_from,
    memory_step_from,
    what_if_from,
)
from shelm.edits import AnyAlternative
from shelm.errors import ShelmError
from shelm.filter_messages import filter_message, list_request, seen_messages
from shelm.filters import EVERY, AnySeen, EpisodeFilter
from shelm.observation import decode
from shelm.requests import Requests, natural, text
from shelm.results import Agent, Comparison, EpisodeInfo, Explanation, FoundEpisode, MemoryStep, WhatIf
from shelm.transport import Transport
from shelm.v1 import agent_pb2

# Seconds; a stream that broke later than this had been working: one that brought nothing, one that gave a sign of life.
STREAM_LIVED, SIGNED_LIVED = 30.0, 1.0
PAGE = 1000  # episodes; the server's limit
FOUND = 100  # episodes of one page of a search
AT_ONCE = -1.0


class Reader:
    """Reads data from the server; `Actor` adds acting."""

    def __init__(self, transport: Transport, requests: Requests) -> None:
        """Sends the requests built by `requests` through `transport`."""
        self._transport, self._requests = transport, requests

    @property
    def target(self) -> str:
        """The address of the server."""
        return self._transport.target

    @property
    def default_agent(self) -> str:
        """The agent of this client's new episodes, "" for the server's default."""
        return self._requests.agent

    def get_episode(self, episode_id: str) -> EpisodeInfo:
        """Returns the metadata of one episode; raises EpisodeNotFound."""
        response = self._transport.call("GetEpisode", agent_pb2.GetEpisodeRequest(episode_id=text("episode_id", episode_id)))
        return episode_from(response.episode)

    def list_episodes(
        self, *, archived: bool = False, where: EpisodeFilter | None = None, order: str | None = None
    ) -> Iterator[EpisodeInfo]:
        """Yields the episodes that have not expired, or those in the server's archive; all, or those that a filter means.

        `order` is "newest" or "oldest", by the time of creation; None is no particular one, with a filter the newest first.
        """
        request = list_request(PAGE, archived, where, order)
        while True:
            page = self._transport.call("ListEpisodes", request)
            for episode in page.episodes:
                yield episode_from(episode)
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    def search_episodes(
        self, saw: Sequence[AnySeen] = (), *, not_saw: Sequence[AnySeen] = (), where: EpisodeFilter = EVERY
    ) -> Iterator[FoundEpisode]:
        """Yields the episodes that saw all words of `saw` and none of `not_saw`, at most 16 of each.

        On each page those that the server's archive lacks yet come before those that it has, either kind the newest first.
        """
        request = agent_pb2.SearchEpisodesRequest(
            filter=filter_message(where),
            saw=seen_messages("saw", saw),
            not_saw=seen_messages("not_saw", not_saw),
            page_size=FOUND,
        )
        told = set[str]()  # an episode that is archived meanwhile may be on two pages
        while True:
            page = self._transport.call("SearchEpisodes", request)
            for found in page.episodes:
                if found.episode.incarnation not in told:
                    told.add(found.episode.incarnation)
                    yield found_from(found)
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    def compare_outcomes(
        self,
        saw: Sequence[AnySeen] = (),
        *,
        not_saw: Sequence[AnySeen] = (),
        where: EpisodeFilter = EVERY,
        limit: int = 0,
    ) -> Comparison:
        """Returns which words, and which words after one another, the episodes that succeeded saw more often or less often
        than those that failed. Words and `where` as for `search_episodes`. `limit`: words and transitions at most, 1..1000;
        0 means the server's default, 20.
        """
        request = agent_pb2.CompareOutcomesRequest(
            filter=filter_message(where),
            saw=seen_messages("saw", saw),
            not_saw=seen_messages("not_saw", not_saw),
            limit=natural("limit", limit),
        )
        return comparison_from(self._transport.call("CompareOutcomes", request))

    def memory(self, episode_id: str, from_step: int = 0, *, without_words: bool = False) -> Iterator[MemoryStep]:
        """Yields the remembered words of each step from `from_step` to the last committed one, oldest first; raises
        EpisodeNotFound, also if the episode expires while it is read.

        An agent that keeps no words raises AgentKeepsNoWords, unless `without_words` asks for its steps.
        """
        request = agent_pb2.GetMemoryRequest(episode_id=text("episode_id", episode_id), without_words=without_words)
        while True:
            request.from_step = natural("from_step", from_step)
            response = self._transport.call("GetMemory", request)
            request.incarnation = response.incarnation  # the next page is of the same episode
            if not response.steps:
                return
            for step in response.steps:
                yield memory_step_from(step)
            from_step = response.steps[-1].step + 1

    def watch_memory(self, episode_id: str, from_step: int = 0, *, without_words: bool = False) -> Iterator[MemoryStep]:
        """Yields the words of each step as it is committed, until the episode ends or expires.

        Close the iterator to stop earlier. A broken stream is reopened at the next step of the same episode, with a new
        retry budget if it had been working. `without_words` as in `memory`.
        """
        attempts = self._transport.attempts()
        request = agent_pb2.WatchMemoryRequest(
            episode_id=text("episode_id", episode_id), signs_of_life=True, without_words=without_words
        )
        while True:
            opened, lived = time.monotonic(), STREAM_LIVED
            request.from_step = natural("from_step", from_step)
            try:
                with self._transport.stream("WatchMemory", request) as responses:
                    for response in responses:
                        request.incarnation = response.incarnation
                        if not response.HasField("step"):
                            lived = min(lived, SIGNED_LIVED)
                            continue
                        from_step, lived = response.step.step + 1, AT_ONCE
                        yield memory_step_from(response.step)
                return
            except ShelmError as error:
                if time.monotonic() - opened > lived:
                    attempts = self._transport.attempts()
                if not attempts.wait(error):
                    raise

    def explain(self, episode_id: str, step: int, observation: Any = None, max_steps: int = 0) -> Explanation:
        """Returns which earlier words decided a committed step.

        `observation` is the frame of that step, or None for the frame that the server recorded. `max_steps`, 1..1000, is the
        number of latest earlier steps to remove one by one; 0 means the server's default, 64. Each comparison costs one run
        of the memory, so give the client a sufficient `timeout`. Raises FrameNeeded if the server has no frame, StepConflict
        for another frame, StepTooOld, EpisodeNotFound.
        """
        request = self._requests.explain(episode_id, step, observation, max_steps)
        return explanation_from(self._transport.call("ExplainStep", request))

    def what_if(
        self, episode_id: str, step: int, alternatives: Sequence[AnyAlternative] = (), observation: Any = None
    ) -> WhatIf:
        """Returns what the agent would do at a committed step with other memories, and what it makes of its own.

        An alternative is one edit of `shelm.edits`, a list of edits, or an `Alternative`, which can name another agent. At
        most 16, of at most 64 edits each. Nothing changes on the server. `observation` and errors are as for `explain`; an
        edit that cannot be done raises InvalidArgument with its path.
        """
        request = self._requests.what_if(episode_id, step, alternatives, observation)
        return what_if_from(self._transport.call("WhatIf", request))

    def frame(self, episode_id: str, step: int) -> NDArray[np.uint8]:
        """Returns the recorded frame of a step, uint8 (height, width, 3); raises RecordingOff or FrameNotRecorded."""
        request = agent_pb2.GetFrameRequest(episode_id=text("episode_id", episode_id), step=natural("step", step))
        response = self._transport.call("GetFrame", request)
        return decode(response.frame)

    def agents(self) -> list[Agent]:
        """Returns the agents that the server serves, the default first."""
        response = self._transport.call("ListAgents", agent_pb2.ListAgentsRequest())
        return [agent_from(agent) for agent in response.agents]

    def agent(self, name: str = "") -> Agent:
        """Returns one agent by name or digest, or the default for an empty name; raises AgentNotFound."""
        response = self._transport.call("GetAgent", agent_pb2.GetAgentRequest(agent=text("agent", name)))
        return agent_from(response.agent)

    def ping(self) -> float:
        """Returns the duration of one health check in seconds; raises Unavailable if the server cannot be reached or is not
        ready.
        """
        return self._transport.ping()
