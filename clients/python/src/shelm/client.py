# Generated from aio/client.py by tools/unasync_client.py (`make client`). Not edited by hand.
"""The client: frames in, actions out.

Lifecycle: `Client(...)` connects on its first call; close it, or use it in a `with` block. The synchronous
client may be shared by threads (not by forked processes). The asyncio client belongs to one event loop; an `act` that was
cancelled may have been committed: call it again with the same frame. Failure policy: transient errors are retried, all
others raise a ShelmError, as in `shelm.actor`.
"""

from __future__ import annotations

from types import TracebackType

from shelm.actor import Actor
from shelm.episode import Episode
from shelm.observation import Encoding
from shelm.requests import Requests
from shelm.settings import DEFAULT_TARGET, Settings
from shelm.tls import Tls
from shelm.transport import Transport


class Client(Actor):
    """A connection to one server, which acts in any number of episodes."""

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        token: str | None = None,
        tls: Tls = False,
        timeout: float = 10.0,
        retry_for: float = 30.0,
        agent: str = "",
        encoding: Encoding = "raw",
    ) -> None:
        """Stores the address of the server and the settings of the connection.

        `timeout` is in seconds for each attempt, `retry_for` in seconds for all attempts of a call (0: a single attempt).
        `agent` is the agent of new episodes, "" the server's default. `encoding` "png" makes messages smaller but takes
        longer. Without `tls` nothing is encrypted, including the token; True checks the server's certificate against public
        roots, the path of a file against the CA certificates in it, and (ca, cert, key) also shows one of the client's.
        """
        settings = Settings(target=target, token=token, tls=tls, timeout=timeout, retry_for=retry_for)
        super().__init__(Transport(settings), Requests(agent=agent, encoding=encoding))

    def episode(
        self,
        episode_id: str | None = None,
        *,
        seed: int | None = None,
        agent: str | None = None,
        deterministic: bool | None = None,
    ) -> Episode:
        """Returns a `with` block that creates an episode (with a random id if none is given) and ends it."""
        return Episode(self, episode_id, seed=seed, agent=agent, deterministic=deterministic)

    def close(self) -> None:
        """Closes the connection; running calls fail. Episodes are not ended."""
        self._transport.close()

    def __enter__(self) -> Client:
        """Returns the client."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Closes the connection."""
        self.close()
