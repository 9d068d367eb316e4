"""Reads the committed words of an episode from Redis, to rebuild its memory state.

Failure policy: STORE_UNAVAILABLE if Redis cannot be reached. HISTORY_MISMATCH if the episode is not, or no longer, at the
step and history that the caller names: it must read the episode again. EPISODE_DAMAGED if it is, and words are missing.
"""

from typing import Any

from shelm.v1 import errors_pb2

from services.protocol.reasons import failure
from services.store.errors import episode_damaged, store_errors
from services.store.keys import entry_id, episode_key, history_key
from services.store.readiness import why_not_readable
from services.store.records import read_entry


class HistoryReader:
    """Histories in Redis. client: of `connect_redis`."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def missing(self) -> list[str]:
        """Why histories cannot be read; empty if they can."""
        return await why_not_readable(self._client)

    async def last_words(
        self, episode_id: str, *, step: int, steps: int, digest: bytes, words: int | None = None
    ) -> list[int]:
        """Vocabulary rows of the `steps` steps before `step`, oldest first, of the history with this digest.

        words: where steps have different numbers of words, how many are needed: steps before those are read as well until
        there are as many. None: every step has some.
        """
        found = await self._last_words(episode_id, step, steps, digest, some=words is None)
        while words is not None and len(found) < words and steps < step:
            steps = min(step, steps + words - len(found))
            found = await self._last_words(episode_id, step, steps, digest, some=False)
        return found

    async def _last_words(self, episode_id: str, step: int, steps: int, digest: bytes, *, some: bool) -> list[int]:
        """some: each step must have words."""
        episode, history = episode_key(episode_id), history_key(episode_id)
        with store_errors(episode_id):
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.hmget(episode, "committed", "history")
                pipe.xrange(history, entry_id(step - steps), entry_id(step - 1))
                (committed, newest), entries = await pipe.execute()
        stored = [read_entry(episode_id, *entry) for entry in entries]
        whole = [number for number, _ in stored] == list(range(step - steps, step))
        if whole and stored[-1][1].history_digest == digest:
            if some and not all(one.words for _, one in stored):
                raise episode_damaged(episode_id, f"a step before step {step} has no words")
            return [word.row for _, one in stored for word in one.words]
        if (committed, newest) == (b"%d" % (step - 1), digest):
            raise episode_damaged(episode_id, f"steps before step {step} are missing")
        text = f"the committed history of {episode_id!r} before step {step} is not the one asked for"
        raise failure(errors_pb2.ERROR_REASON_HISTORY_MISMATCH, text)
