"""What a process knows of episodes from its last commits: bounded in number, and in the bytes of their policies' states.

The least recently learnt is dropped for a new one; it is read from Redis when it acts again.
"""

from collections import OrderedDict

from services.protocol.values import EpisodeState

STATE_BYTES = 2**28  # of all episodes together


class KnownEpisodes:
    """States of at most `most` episodes by name. state_bytes: of their policies' states together."""

    def __init__(self, most: int, *, state_bytes: int = STATE_BYTES) -> None:
        self._most, self._most_bytes, self._bytes = most, state_bytes, 0
        self._states: OrderedDict[str, EpisodeState] = OrderedDict()

    def get(self, episode_id: str) -> EpisodeState | None:
        """What is known of an episode."""
        return self._states.get(episode_id)

    def learn(self, state: EpisodeState) -> None:
        """Keeps the state after a commit."""
        self.forget(state.episode_id)
        self._states[state.episode_id] = state
        self._bytes += len(state.policy_state)
        while len(self._states) > self._most or self._bytes > self._most_bytes:
            _, dropped = self._states.popitem(last=False)
            self._bytes -= len(dropped.policy_state)

    def forget(self, episode_id: str) -> None:
        """Drops an episode."""
        if known := self._states.pop(episode_id, None):
            self._bytes -= len(known.policy_state)
