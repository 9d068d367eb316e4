"""Reads the committed words of an episode from Redis, to rebuild its memory state.

Failure policy: STORE_UNAVAILABLE if Redis cannot be reached. HISTORY_MISMATCH if the stored history is not the one with
the given digest (another replica has committed steps, or old steps were dropped): the caller must read the episode again.
"""

from typing import Any

from shelm.v1 import errors_pb2

from services.protocol.reasons import failure
from services.protocol.steps import read_stored_step
from services.store.keys import STEP_FIELD, entry_id, history_key
from services.store.redis import store_errors


class HistoryReader:
    """Histories in Redis. client: of `connect_redis`."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def last_words(self, episode_id: str, *, step: int, steps: int, digest: bytes) -> list[int]:
        """Vocabulary rows of the `steps` steps before `step`, oldest first, of the history with this digest."""
        with store_errors():
            key, first, last = history_key(episode_id), entry_id(step - steps), entry_id(step - 1)
            entries: list[Any] = await self._client.xrange(key, first, last) or []
        committed = [read_stored_step(fields[STEP_FIELD.encode()]) for _, fields in entries]
        if len(committed) != steps or committed[-1].history_digest != digest:
            text = f"the committed history of {episode_id!r} before step {step} is not the one asked for"
            raise failure(errors_pb2.ERROR_REASON_HISTORY_MISMATCH, text)
        return [word.row for one in committed for word in one.words]
