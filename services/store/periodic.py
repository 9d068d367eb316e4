"""`Periodic`: what asks Redis again and again while a server runs.

Failure policy: `_run` deals with its own errors; what it raises all the same ends it.
"""

import asyncio
from abc import ABC, abstractmethod


class Periodic(ABC):
    """A task that runs from `start` to `close`."""

    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Runs from now on."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Runs no more."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @abstractmethod
    async def _run(self) -> None:
        """Never returns."""
