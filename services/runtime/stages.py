"""Measures how long the stages of a piece of work take."""

import copy
import time
from contextlib import AbstractContextManager
from types import TracebackType


class StageTimer:
    """Seconds of each stage, by name; a stage that comes twice is added up. started: of `time.monotonic`."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.seconds: dict[str, float] = {}

    def branch(self) -> "StageTimer":
        """A timer that goes on from here on its own, for work beside that of this one."""
        other = copy.copy(self)
        other.seconds = dict(self.seconds)
        return other

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Context manager: adds the time spent inside to a stage."""
        return _Stage(self.seconds, name)


class _Stage(AbstractContextManager[None]):
    __slots__ = ("_name", "_seconds", "_since")

    def __init__(self, seconds: dict[str, float], name: str) -> None:
        self._seconds, self._name = seconds, name

    def __enter__(self) -> None:
        self._since = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._seconds[self._name] = self._seconds.get(self._name, 0.0) + time.monotonic() - self._since
