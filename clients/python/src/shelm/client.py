"""The client: frames in, actions out.

Lifecycle: `Client(...)` connects on its first call; close it, or use it in a `with` block. It may be shared by threads (not
by forked processes).

Failure policy: a call that may succeed if repeated is repeated for `retry_for` seconds, safely, because the server
answers the same (episode, step, frame) always with the same committed action. The step of an episode advances only
when a reply came. So after any error, call `act` again with the same frame; `resume` is for a process that takes over
an episode, not for errors.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any

from shelm.batch import act_all
from shelm.convert import act_from, episode_from
from shelm.episode import Episode
from shelm.errors import InvalidArgument, ShelmError
from shelm.observation import Encoding, encode
from shelm.reader import Reader
from shelm.results import Act, EpisodeInfo
from shelm.steps import Cursor, Cursors
from shelm.transport import Transport
from shelm.v1 import agent_pb2

DEFAULT_TARGET = "127.0.0.1:50051"


class Client(Reader):
    """Acts in any number of episodes of one server."""

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        token: str | None = None,
        tls: bool = False,
        timeout: float = 10.0,
        retry_for: float = 30.0,
        agent: str = "",
        encoding: Encoding = "raw",
    ) -> None:
        """Takes where the server is and how to talk to it.

        `timeout` is in seconds for each attempt, `retry_for` in seconds for all attempts of a call (0: one attempt).
        `agent` names the agent of episodes that this client begins, "" the server's default. `encoding` "png" makes
        frames smaller and slower. Without `tls` nothing is encrypted, the token neither.
        """
        if encoding not in ("raw", "png"):
            raise InvalidArgument(f"encoding: expected 'raw' or 'png', given {encoding!r}")
        super().__init__(Transport(target, token=token, tls=tls, timeout=timeout, retry_for=retry_for))
        self._agent, self._encoding, self._cursors = agent, encoding, Cursors()

    def act(self, observation: Any, episode_id: str, *, step: int | None = None, deterministic: bool | None = None) -> Act:
        """Returns the action for a frame, a uint8 array (height, width, 3), as the next step of the episode.

        `step` repeats or places a step by hand. `deterministic` True takes the most probable action, False draws one,
        None leaves it to the episode. Calls of one episode wait for each other. Raises InvalidArgument for a wrong
        frame, StepConflict if another frame is committed for the step, and any other ShelmError.
        """
        frame = encode(observation, self._encoding)
        with self._cursors.hold(episode_id) as cursor:
            request = self._request(episode_id, cursor, frame, step, deterministic)
            response = self._transport.call("Act", request)
            cursor.answered(request.step)
        return act_from(response)

    def act_batch(
        self, observations: Mapping[str, Any], *, deterministic: bool | None = None
    ) -> dict[str, Act | ShelmError]:
        """Returns, by episode_id, the action for each frame or why that episode failed; the others are unaffected.

        Raises InvalidArgument for a wrong frame, before anything is sent, and ShelmError only if no episode was answered.
        """
        frames = {episode_id: encode(observation, self._encoding) for episode_id, observation in observations.items()}
        with self._cursors.hold_all(frames) as cursors:
            requests = [self._request(name, cursors[name], frame, None, deterministic) for name, frame in frames.items()]
            results = act_all(self._transport, requests)
            for result in results.values():
                if isinstance(result, Act):
                    cursors[result.episode_id].answered(result.step)
        return results

    def resume(self, episode_id: str) -> int:
        """Reads where an episode stands, goes on from there, and returns its next step; raises EpisodeNotFound."""
        with self._cursors.hold(episode_id) as cursor:
            committed = self.get_episode(episode_id).committed_step
            cursor.next_step = 0 if committed is None else committed + 1
            cursor.names_agent = False
            return cursor.next_step

    def create_episode(
        self,
        episode_id: str,
        *,
        agent: str | None = None,
        seed: int | None = None,
        deterministic: bool | None = None,
    ) -> EpisodeInfo:
        """Creates an episode before its first step, or returns it if it exists with the same values; raises AlreadyExists.

        `agent` None means the client's; `seed` None means one that the server derives from episode_id.
        """
        request = agent_pb2.CreateEpisodeRequest(
            episode_id=episode_id, agent=self._agent if agent is None else agent, seed=seed, deterministic=deterministic
        )
        with self._cursors.hold(episode_id) as cursor:
            response = self._transport.call("CreateEpisode", request)
            cursor.names_agent = False
        return episode_from(response.episode)

    def end_episode(self, episode_id: str, *, retry: bool = True) -> EpisodeInfo:
        """Says that no step will follow; the memory stays readable until it expires. Raises EpisodeNotFound."""
        request = agent_pb2.EndEpisodeRequest(episode_id=episode_id)
        response = self._transport.call("EndEpisode", request, retry=retry)
        self._cursors.forget(episode_id)
        return episode_from(response.episode)

    def episode(
        self,
        episode_id: str | None = None,
        *,
        seed: int | None = None,
        agent: str | None = None,
        deterministic: bool | None = None,
    ) -> Episode:
        """Returns a context manager that creates the episode (with a fresh name unless given) and ends it."""
        return Episode(self, episode_id, seed=seed, agent=agent, deterministic=deterministic)

    def close(self) -> None:
        """Closes the connection; calls that still run fail. No episode ends by this."""
        self._transport.close()

    def __enter__(self) -> "Client":
        """Returns itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Closes the connection."""
        self.close()

    def _request(
        self, episode_id: str, cursor: Cursor, frame: agent_pb2.Image, step: int | None, deterministic: bool | None
    ) -> agent_pb2.ActRequest:
        step = cursor.next_step if step is None else step
        agent = self._agent if step == 0 and cursor.names_agent else ""  # later, the episode's own agent acts
        return agent_pb2.ActRequest(
            episode_id=episode_id, step=step, observation=frame, agent=agent, deterministic=deterministic
        )
