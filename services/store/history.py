"""Reads the committed words of an episode from Redis, for a rebuild. Reads only: policy is the only writer.

Failure policy: Redis away gives UNAVAILABLE. A history that is not the one asked for (another replica went on, or
steps were dropped) gives FAILED_PRECONDITION with reason HISTORY_MISMATCH: the caller's view is stale, and it must
read the episode again.
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
