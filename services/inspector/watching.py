"""`Watches`: each watched episode is read once for all its viewers.

Contract: reading begins with an episode's first viewer and ends with its last. Each step is turned into JSON once. A viewer
has only a place in the sequence of steps (`Watch.since`), so a slow one costs no memory; what it has missed for too long it
reads with GetMemory. Whoever joins must have been allowed to read the episode, by a call with the viewer's own token.

Cost: an episode's new steps are read with GetMemory, at most every `QUICKEST` seconds, and all watched episodes together at
most `READS` times a second: what the API pays is bounded, however many are watched and however quickly they act. With n
of them a step comes up to max(QUICKEST, n / READS) seconds late. WatchMemory would send each step at once, but costs the
API a quarter of an Act for every step (docs/results/inspector.md).

Failure policy: a reading that fails ends its watch; viewers see `error`, and the next viewer begins a new one.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable

import grpc
from shelm.v1 import agent_pb2

from services.inspector.api import PublicApi
from services.inspector.convert import step_json, to_text
from services.runtime.errors import ServiceError

RECENT = 512  # steps at hand for viewers that lag behind
READS = 10.0  # GetMemory calls a second for all watched episodes together
QUICKEST = 0.2  # seconds between two of them for one episode
LOOK = 3.0  # seconds between two looks at whether an episode without new steps has ended


class Watch:
    """The reading of one episode, from step `first` on. pace: seconds between two reads."""

    def __init__(self, api: PublicApi, episode_id: str, first: int, authorization: str, pace: Callable[[], float]) -> None:
        self.error: ServiceError | None = None
        self.done = False
        self.viewers = 0
        self._api, self._episode_id, self._authorization = api, episode_id, authorization
        self._next = first  # the step after the newest that has come
        self._recent: deque[tuple[int, str]] = deque(maxlen=RECENT)
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._run(pace))

    @property
    def oldest(self) -> int:
        """The first step at hand; the next one to come if there is none."""
        return self._recent[0][0] if self._recent else self._next

    def since(self, step: int) -> tuple[list[str], int] | None:
        """JSON of the steps from `step` on and the step after them; None if they are no longer, or never were, at hand."""
        if step < self.oldest:
            return None
        return [text for number, text in self._recent if number >= step], max(step, self._next)

    async def reach(self, step: int) -> None:
        """Returns when the step is there, or the reading has ended."""
        while self._next <= step and not self.done:
            await self._changed.wait()

    def close(self) -> None:
        """Ends the reading."""
        self._task.cancel()

    async def _run(self, pace: Callable[[], float]) -> None:
        try:
            await self._read(pace)
        except ServiceError as error:
            if error.code is not grpc.StatusCode.NOT_FOUND:  # it has expired, which is an end
                self.error = error
        finally:
            self.done = True
            self._wake()

    async def _read(self, pace: Callable[[], float]) -> None:
        looked, ended = time.monotonic(), False
        while True:
            steps = await self._api.memory(self._episode_id, self._next, RECENT, self._authorization)
            self._take(steps)
            if ended and not steps:
                return
            if not steps and time.monotonic() - looked > LOOK:
                ended = (await self._api.episode(self._episode_id, self._authorization)).ended
                looked = time.monotonic()
            await asyncio.sleep(pace())

    def _take(self, steps: list[agent_pb2.MemoryStep]) -> None:
        for step in steps:
            self._recent.append((step.step, to_text(step_json(step))))
            self._next = step.step + 1
        if steps:
            self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Watches:
    """The watched episodes."""

    def __init__(self, api: PublicApi) -> None:
        self._api = api
        self._watches: dict[str, Watch] = {}

    def __len__(self) -> int:
        """Episodes that are watched now."""
        return len(self._watches)

    @contextlib.asynccontextmanager
    async def join(self, episode: agent_pb2.Episode, authorization: str) -> AsyncGenerator[Watch, None]:
        """The watch of an episode that this viewer has just read."""
        name = episode.episode_id
        watch = self._watches.get(name)
        if watch is None or watch.done:
            first = episode.committed_step + 1 if episode.HasField("committed_step") else 0
            watch = self._watches[name] = Watch(self._api, name, first, authorization, self._pace)
        watch.viewers += 1
        try:
            yield watch
        finally:
            watch.viewers -= 1
            if not watch.viewers:
                watch.close()
                if self._watches.get(name) is watch:
                    del self._watches[name]

    def _pace(self) -> float:
        return max(QUICKEST, len(self._watches) / READS)
