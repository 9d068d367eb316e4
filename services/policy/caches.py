"""What a frame was turned into, kept by agent and fingerprint: its words, and the features of the policy's CNN.

Contract: both are pure functions of agent and frame, so an answer from a cache is one that retrieval or the CNN gave for the
same frame. The least recently used frame is dropped for a new one; size 0 keeps nothing. A frame whose words are kept needs
no call to retrieval, whether or not retrieval can be reached. Failure policy: errors are raised unchanged and never kept.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from prometheus_client import Counter

from agent.frame import Observation
from agent.vocabulary import Word
from services.policy.backends.interfaces import Retrieval
from services.runtime.batching import Queue

Value = TypeVar("Value")
WORDS = Counter("shelm_policy_words", "Frames by where their words came from: cache or retrieval", ["source"])


class _Kept(Generic[Value]):
    """The values of the last `size` frames."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[bytes, Value] = OrderedDict()

    def get(self, key: bytes) -> Value | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def keep(self, key: bytes, value: Value) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._values.popitem(last=False)


class CachedRetrieval:
    """`Retrieval` that asks `inner` for frames it has not seen lately. size: frames per agent."""

    def __init__(self, inner: Retrieval, *, size: int) -> None:
        self._inner, self._size = inner, size
        self._agents: dict[str, _Kept[Sequence[Word]]] = {}
        self._hits, self._misses = WORDS.labels("cache"), WORDS.labels("retrieval")

    async def words(
        self, agent_digest: str, observations: Sequence[Observation], *, deadline: float | None
    ) -> Sequence[Sequence[Word] | BaseException]:
        """k words of each frame, most similar first, or its error."""
        kept = self._agents.setdefault(agent_digest, _Kept(self._size))
        found: list[Any] = [kept.get(one.fingerprint) for one in observations]
        missing = [i for i, words in enumerate(found) if words is None]
        self._hits.inc(len(found) - len(missing))
        if missing:
            self._misses.inc(len(missing))
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
        self._inner, self._kept = inner, _Kept[Any](size)

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
