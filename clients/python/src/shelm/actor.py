# Generated from aio/actor.py by tools/unasync_client.py (`make client`). Not edited by hand.
"""The acting part of the client: creates episodes, computes their steps and ends them.

Failure policy: a call that failed with a transient error is retried for `retry_for` seconds. This is safe, because the
server always returns the same committed action for the same (episode, step, frame). The step of an episode advances only
when a reply was received. So after any error, call `act` again with the same frame; `resume` is for a process that takes
over an episode, not for errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shelm.batch import Batch
from shelm.convert import act_from, episode_from
from shelm.edits import Edit
from shelm.errors import ShelmError
from shelm.reader import Reader
from shelm.requests import Requests, end_request, text
from shelm.results import Act, EpisodeInfo
from shelm.steps import Cursors
from shelm.transport import Transport
from shelm.v1 import agent_pb2


class Actor(Reader):
    """Acts in episodes by their ids; `Client` adds the connection, and episodes as context managers."""

    def __init__(self, transport: Transport, requests: Requests) -> None:
        """Sends the requests built by `requests` through `transport`."""
        super().__init__(transport, requests)
        self._cursors = Cursors()

    def act(
        self,
        observation: Any,
        episode_id: str,
        *,
        step: int | None = None,
        deterministic: bool | None = None,
        distribution: bool = False,
    ) -> Act:
        """Returns the action for a frame, a uint8 array (height, width, 3), as the next step of the episode.

        `step` overrides the step number, for example to repeat a step. `deterministic` True chooses the most probable
        action, False samples one, None uses the mode of the episode. `distribution` True also asks for the distribution over
        actions. Calls for one episode wait for each other. Raises InvalidArgument for an invalid frame, StepConflict if
        another frame is committed for the step, and any other ShelmError.
        """
        frame = self._requests.image(observation)
        with self._cursors.hold(episode_id) as cursor:
            request = self._requests.act(episode_id, cursor, frame, step, deterministic, distribution=distribution)
            response = self._transport.call("Act", request)
            cursor.answered(request.step)
        return act_from(response)

    def act_batch(
        self, observations: Mapping[str, Any], *, deterministic: bool | None = None, distribution: bool = False
    ) -> dict[str, Act | ShelmError]:
        """Returns, by episode_id, the Act for each frame or the error of that episode; episodes do not affect each other.

        Raises InvalidArgument for an invalid frame, before anything is sent, and ShelmError only if no episode received an
        answer.
        """
        frames = {episode_id: self._requests.image(observation) for episode_id, observation in observations.items()}
        with self._cursors.hold_all(frames) as cursors:
            requests = [
                self._requests.act(name, cursors[name], frame, None, deterministic, distribution=distribution)
                for name, frame in frames.items()
            ]
            results = self._act_all(Batch(requests))
            for result in results.values():
                if isinstance(result, Act):
                    cursors[result.episode_id].answered(result.step)
        return results

    def resume(self, episode_id: str) -> int:
        """Reads the committed step of an episode, continues after it, and returns the next step; raises EpisodeNotFound."""
        with self._cursors.hold(episode_id) as cursor:
            episode = self.get_episode(episode_id)
            return cursor.resumed(episode.committed_step)

    def create_episode(
        self,
        episode_id: str,
        *,
        agent: str | None = None,
        seed: int | None = None,
        deterministic: bool | None = None,
    ) -> EpisodeInfo:
        """Creates an episode before its first step, or returns it if it exists with the same values; raises AlreadyExists.

        `agent` None means the client's agent; `seed` None lets the server derive a seed from episode_id.
        """
        request = self._requests.create(episode_id, agent, seed, deterministic)
        with self._cursors.hold(episode_id) as cursor:
            response = self._transport.call("CreateEpisode", request)
            cursor.names_agent = False
        return episode_from(response.episode)

    def branch_episode(
        self,
        episode_id: str,
        source: str,
        step: int,
        edits: Sequence[Edit] = (),
        *,
        seed: int | None = None,
        deterministic: bool | None = None,
    ) -> EpisodeInfo:
        """Creates an episode that has the steps of `source` before `step`, with edited words, and goes on from there: the
        next `act` in it is its first own step. Returns it as it is if it exists with the same values; raises AlreadyExists.

        `edits` are those of `shelm.edits`. `seed` and `deterministic` None mean the source's. Raises EpisodeNotFound,
        StepTooOld if words that the step's memory reaches are no longer kept, and InvalidArgument with the path of an edit
        that cannot be done.
        """
        request = self._requests.branch(episode_id, source, step, edits, seed=seed, deterministic=deterministic)
        with self._cursors.hold(episode_id) as cursor:
            response = self._transport.call("BranchEpisode", request)
            episode = episode_from(response.episode)
            cursor.resumed(episode.committed_step)
        return episode

    def end_episode(self, episode_id: str, *, total_reward: float | None = None, retry: bool = True) -> EpisodeInfo:
        """Ends an episode; its memory stays readable until it expires. Raises EpisodeNotFound.

        `total_reward`, a finite number, is the sum of the episode's rewards; the server keeps the first value that it
        receives.
        """
        response = self._transport.call("EndEpisode", end_request(episode_id, total_reward), retry=retry)
        self._cursors.forget(episode_id)
        return episode_from(response.episode)

    def delete_episode(self, episode_id: str) -> bool:
        """Deletes an episode: its words, its recorded frames, and what the archive has of it.

        Returns False if there was none.
        """
        request = agent_pb2.DeleteEpisodeRequest(episode_id=text("episode_id", episode_id))
        response = self._transport.call("DeleteEpisode", request)
        self._cursors.forget(episode_id)
        return bool(response.deleted)

    def _act_all(self, batch: Batch) -> dict[str, Act | ShelmError]:
        attempts = self._transport.attempts()
        while True:
            try:
                batch.answered(self._transport.once("ActBatch", batch.request(), timeout=attempts.timeout))
            except ShelmError as error:
                batch.failed(error)
            if batch.error is None or not attempts.wait(batch.error):
                return batch.outcomes()
