"""`Watches`: each watched episode is read once for all its viewers.

Contract: reading starts with the first viewer of an episode and stops with the last. Each step is converted to JSON once. A
viewer only has a position in the sequence of steps (`Watch.since`), so a slow viewer needs no memory; if it lags too far
behind, it reads the missing steps with GetMemory. A viewer may only join after a call with its own token has shown that it
may read the episode.

Cost: the new steps of an episode are read with GetMemory at most every `QUICKEST` seconds, and those of all watched episodes
together at most `READS` times per second. The load on the API is therefore bounded, however many episodes are watched and
however fast they act. With n watched episodes a step is at most max(QUICKEST, n / READS) seconds late. WatchMemory would
send each step immediately, but costs the API a quarter of an Act for every step (docs/results/inspector.md).

Failure policy: a failed read ends the watch; viewers receive `error`, and the next viewer starts a new watch.
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

RECENT = 512  # steps held for viewers that lag behind
READS = 10.0  # GetMemory calls per second for all watched episodes together
QUICKEST = 0.2  # seconds between two GetMemory calls for one episode
LOOK = 3.0  # seconds between two checks whether an episode without new steps has ended


class Watch:
    """Reads the steps that follow in an episode. pace: seconds between two reads."""

    def __init__(self, api: PublicApi, episode: agent_pb2.Episode, authorization: str, pace: Callable[[], float]) -> None:
        self.error: ServiceError | None = None
        self.done = False
        self.viewers = 0
        self._api, self._authorization = api, authorization
        self._episode_id, self._incarnation = episode.episode_id, episode.incarnation
        # The step after the newest one received.
        self._next = episode.committed_step + 1 if episode.HasField("committed_step") else 0
        self._recent: deque[tuple[int, str]] = deque(maxlen=RECENT)
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._run(pace))

    @property
    def oldest(self) -> int:
        """The first step still held; the next one to arrive if there is none."""
        return self._recent[0][0] if self._recent else self._next

    def since(self, step: int) -> tuple[list[str], int] | None:
        """Returns the JSON of the steps from `step` on and the step after them; None if they are not or no longer held."""
        if step < self.oldest:
            return None
        return [text for number, text in self._recent if number >= step], max(step, self._next)

    async def reach(self, step: int) -> None:
        """Waits until the step has arrived or reading has ended."""
        while self._next <= step and not self.done:
            await self._changed.wait()

    def close(self) -> None:
        """Stops reading."""
        self._task.cancel()

    async def _run(self, pace: Callable[[], float]) -> None:
        try:
            await self._read(pace)
        except ServiceError as error:
            if error.code is not grpc.StatusCode.NOT_FOUND:  # NOT_FOUND: the episode has expired, which ends it
                self.error = error
        finally:
            self.done = True
            self._wake()

    async def _read(self, pace: Callable[[], float]) -> None:
        looked, ended = time.monotonic(), False
        while True:
            steps = await self._api.memory(
                self._episode_id, self._next, RECENT, self._authorization, incarnation=self._incarnation
            )
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
        self._watches: dict[tuple[str, str], Watch] = {}  # by name and incarnation

    def __len__(self) -> int:
        """Number of episodes that are currently watched."""
        return len(self._watches)

    @contextlib.asynccontextmanager
    async def join(self, episode: agent_pb2.Episode, authorization: str) -> AsyncGenerator[Watch, None]:
        """Returns the watch of an episode that this viewer has just read."""
        name = episode.episode_id, episode.incarnation
        watch = self._watches.get(name)
        if watch is None or watch.done:
            watch = self._watches[name] = Watch(self._api, episode, authorization, self._pace)
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
