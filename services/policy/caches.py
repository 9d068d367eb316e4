"""What a frame was turned into, kept by agent and fingerprint: its words, and the features of the policy's CNN.

Contract: both are pure functions of agent and frame, so an answer from a cache is one that retrieval or the CNN gave for the
same frame. The least recently used frame is dropped for a new one; size 0 keeps nothing. A frame whose words are kept needs
no call to retrieval, whether or not retrieval can be reached. Failure policy: errors are raised unchanged and never kept.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from agent.frame import Observation
from agent.vocabulary import Word
from services.policy.backends.interfaces import Retrieval
from services.runtime.batching import Queue
from services.runtime.cache_metrics import export_cache
from services.runtime.kept import Kept


class CachedRetrieval:
    """`Retrieval` that asks `inner` for frames it has not seen lately."""

    def __init__(self, inner: Retrieval, agents: Mapping[str, tuple[str, str]], *, size: int, count_misses: bool) -> None:
        """agents: labels of the metrics, by digest. size: frames per agent. count_misses: nobody behind `inner` does."""
        self._inner, self._count_misses = inner, count_misses
        self._agents: dict[str, Kept[Sequence[Word]]] = {digest: Kept(size) for digest in agents}
        for digest, labels in agents.items():
            export_cache(labels, self._agents[digest])

    async def words(
        self, agent_digest: str, observations: Sequence[Observation], *, deadline: float | None
    ) -> Sequence[Sequence[Word] | BaseException]:
        """k words of each frame, most similar first, or its error."""
        kept = self._agents[agent_digest]
        found: list[Any] = [kept.get(one.fingerprint) for one in observations]
        missing = [i for i, words in enumerate(found) if words is None]
        kept.hits += len(found) - len(missing)
        kept.misses += len(missing) if self._count_misses else 0
        if missing:
            asked = [observations[i] for i in missing]
            answers = await self._inner.words(agent_digest, asked, deadline=deadline)
            for i, words in zip(missing, answers, strict=True):
                found[i] = words
                if not isinstance(words, BaseException):
                    kept.keep(observations[i].fingerprint, words)
        return found


class CachedEncoder:
    """The features of frames; asks `inner`, which takes plain observations, for those not seen lately. size: frames."""

    def __init__(self, inner: Queue[Observation, Any], *, size: int) -> None:
        self._inner, self._kept = inner, Kept[Any](size)

    async def submit(self, item: Observation, *, deadline: float | None = None) -> Any:
        """The features of one frame."""
        (outcome,) = await self.put((item,), deadline=deadline)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def put(self, items: Sequence[Observation], *, deadline: float | None = None) -> "asyncio.Future[list[Any]]":
        """The features, or the error, of each frame. Cancelling the future gives the frames up."""
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        found = [self._kept.get(one.fingerprint) for one in items]
        missing = [i for i, features in enumerate(found) if features is None]
        if not missing:
            future.set_result(found)
            return future
        asked = self._inner.put([items[i] for i in missing], deadline=deadline)
        asked.add_done_callback(partial(self._arrived, future, found, [(i, items[i].fingerprint) for i in missing]))
        future.add_done_callback(lambda done: done.cancelled() and asked.cancel())
        return future

    def _arrived(
        self,
        future: "asyncio.Future[list[Any]]",
        found: list[Any],
        missing: Sequence[tuple[int, bytes]],
        asked: "asyncio.Future[list[Any]]",
    ) -> None:
        if future.done() or asked.cancelled():
            future.cancel()
            return
        for (i, key), features in zip(missing, asked.result(), strict=True):
            found[i] = features
            if not isinstance(features, BaseException):
                self._kept.keep(key, features)
        future.set_result(found)
