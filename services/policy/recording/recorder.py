"""`Recorder`: writes frames in the background, and deletes them when they are old. Off unless SHELM_RECORD is set.

Contract: `put` never waits and never fails, whatever the storage does: an Act is neither delayed nor refused by its
recording. `close` gives the frames that still wait a bounded time; a process that is killed loses them.

Failure policy: a frame that cannot be written, or that finds the queue full, is counted
(`shelm_frames_recorded_total{outcome="failed"|"overflow"}`) and logged, at most one line in ten seconds. Storage that
cannot be read is UNAVAILABLE with reason RECORDINGS_UNAVAILABLE.
"""

import asyncio
import contextlib
import logging
import queue
import threading
import time

from prometheus_client import Counter
from shelm.v1 import errors_pb2

from agent.frame import Frame
from services.policy.places import reached
from services.policy.recording.recordings import Recorded, Recordings

log = logging.getLogger(__name__)
WORKERS = 4  # S3 takes tens of milliseconds a frame
MAX_WAITING = 512  # frames
FLUSH_SECONDS = 5.0
LOG_EVERY = 10.0  # seconds
SWEEP_EVERY = (1.0, 3600.0)  # seconds, at least and at most; a tenth of the retention in between
LOW = 0.9  # of the bytes that may be kept: a sweep of a full place leaves so much, so that the next one is not due at once
FRAMES = Counter("shelm_frames_recorded", "Frames of committed steps, by what became of their recording", ["outcome"])
_Item = tuple[str, int, Frame]
PLACE, UNAVAILABLE = "the recorded frames", errors_pb2.ERROR_REASON_RECORDINGS_UNAVAILABLE


class Recorder:
    """Records at one place. retention: seconds that a frame is kept; 0: for ever. most_bytes: beyond them the oldest frames
    are deleted; 0: no limit. Replicas count what they write themselves and see the frames of others when they sweep.
    """

    def __init__(
        self, recordings: Recordings, *, retention: float, most_bytes: int = 0, max_waiting: int = MAX_WAITING
    ) -> None:
        self._recordings, self._retention, self._most_bytes = recordings, retention, most_bytes
        self._bytes = 0  # in the place, as far as this process knows
        self._due = threading.Event()  # a sweep
        self._queue: queue.Queue[_Item | None] = queue.Queue(max_waiting)
        self._stopped = threading.Event()
        self._lock, self._unsaid, self._quiet_until = threading.Lock(), 0, 0.0

    def start(self) -> None:
        """Starts the threads. They end with the process, even if storage holds them up."""
        for work in [self._work] * WORKERS + [self._sweep] * bool(self._retention or self._most_bytes):
            threading.Thread(target=work, name="recorder", daemon=True).start()

    def put(self, episode_id: str, step: int, frame: Frame) -> None:
        """Queues the frame of a committed step for writing."""
        try:
            self._queue.put_nowait((episode_id, step, frame))
        except queue.Full:
            FRAMES.labels("overflow").inc()
            self._complain(f"{self._queue.maxsize} frames wait already")

    async def read(self, episode_id: str, step: int) -> Recorded | None:
        """A recorded frame; None if there is none."""
        doing = f"step {step} of {episode_id!r}"
        return await reached(lambda: self._recordings.read(episode_id, step), PLACE, UNAVAILABLE, doing=doing)

    async def delete(self, episode_id: str) -> int:
        """Deletes the frames of an episode; returns how many. Frames of it that still wait are written afterwards."""
        doing = f"the frames of {episode_id!r}"
        return await reached(lambda: self._recordings.delete(episode_id), PLACE, UNAVAILABLE, doing=doing)

    async def close(self, seconds: float = FLUSH_SECONDS) -> None:
        """Waits until the frames that wait are written, but no longer than `seconds`."""
        self._stopped.set()
        self._due.set()
        left = await asyncio.to_thread(self._flush, seconds)
        if left:
            log.warning("%d frames were not recorded before the end", left)
        for _ in range(WORKERS):
            with contextlib.suppress(queue.Full):
                self._queue.put_nowait(None)

    def _flush(self, seconds: float) -> int:
        done = self._queue.all_tasks_done
        with done:
            done.wait_for(lambda: not self._queue.unfinished_tasks, seconds)
            return self._queue.unfinished_tasks

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                self._count(self._recordings.write(*item))
                FRAMES.labels("written").inc()
            except Exception as error:  # whatever storage does, the next frame gets its chance
                FRAMES.labels("failed").inc()
                self._complain(f"{type(error).__name__}: {error}")
            finally:
                self._queue.task_done()

    def _count(self, size: int) -> None:
        with self._lock:
            self._bytes += size
            if self._most_bytes and self._bytes > self._most_bytes:
                self._due.set()

    def _sweep(self) -> None:
        while not self._stopped.is_set():
            self._due.clear()
            try:
                self._sweep_once()
            except Exception as error:  # it will be tried again
                log.warning("old recordings were not deleted: %s: %s", type(error).__name__, error)
                self._stopped.wait(SWEEP_EVERY[0])
            least, most = SWEEP_EVERY
            self._due.wait(min(max(self._retention / 10, least), most) if self._retention else most)

    def _sweep_once(self) -> None:
        before = self._bytes
        oldest = time.time() - self._retention if self._retention else 0.0
        low = LOW if before > self._most_bytes else 1
        removed, left = self._recordings.sweep(oldest, int(self._most_bytes * low) if self._most_bytes else None)
        self._count(left - before)  # what was written meanwhile counts too, and may be too much already
        log.log(logging.INFO if removed else logging.DEBUG, "%d recorded frames were old and are deleted", removed)

    def _complain(self, problem: str) -> None:
        with self._lock:
            self._unsaid += 1
            if time.monotonic() < self._quiet_until:
                return
            count, self._unsaid, self._quiet_until = self._unsaid, 0, time.monotonic() + LOG_EVERY
        log.warning("%d frames were not recorded: %s", count, problem)
