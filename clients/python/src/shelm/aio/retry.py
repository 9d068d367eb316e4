"""The attempts of one call: how long each may take, how long to wait between them, and when to stop.

The first attempt has the full timeout; repetitions share a budget counted from the start. Waiting is exponential with
jitter, so that many clients of a server that comes back do not come back at once; a delay that the server asks for is
never shortened. An error that is not retryable, or a wait that would use up the budget, raises the error itself.
"""

from __future__ import annotations

import random
import time

from shelm.aio.primitives import sleep
from shelm.errors import ShelmError

FIRST_DELAY = 0.1
LONGEST_DELAY = 3.0  # seconds; a restarted server is found again within about this time
SHORTEST_ATTEMPT = 0.25  # seconds; a last attempt shorter than this would only hide the real error behind its deadline


class AsyncAttempts:
    """Counts and paces the attempts of one call."""

    def __init__(self, *, timeout: float, retry_for: float) -> None:
        """Takes the seconds that one attempt may last, and the seconds after which no attempt begins or runs on."""
        self._timeout = timeout
        self._ends = time.monotonic() + retry_for
        self._failed = 0

    @property
    def timeout(self) -> float:
        """Seconds that the next attempt may last."""
        return self._timeout if self._failed == 0 else min(self._timeout, self._ends - time.monotonic())

    async def wait(self, error: ShelmError) -> bool:
        """Returns True when the next attempt may begin, False at once if there is none."""
        delay = self._next(error)
        if delay is not None:
            await sleep(delay)
        return delay is not None

    def _next(self, error: ShelmError) -> float | None:
        """Counts a failure; returns the seconds to wait, None if no attempt is left."""
        self._failed += 1
        error.attempts = self._failed
        delay = self._delay(error.retry_after)
        enough = time.monotonic() + delay + min(SHORTEST_ATTEMPT, self._timeout) <= self._ends
        return delay if error.retryable and enough else None

    def _delay(self, asked: float | None) -> float:
        if asked is not None:
            return asked * random.uniform(1.0, 1.1)
        return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(self._failed - 1, 16)) * random.uniform(0.5, 1.0)
