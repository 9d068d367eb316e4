"""Waiting for what another process will do. Failure policy: what does not come in time is an AssertionError."""

import time
from collections.abc import Callable


def wait_for(what: str, seen: Callable[[], object], *, seconds: float = 60.0) -> float:
    """Waits until `seen()` is true; returns how many seconds that took."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        if seen():
            return time.monotonic() - started
        time.sleep(0.05)
    raise AssertionError(f"after {seconds:.0f} s still not: {what}")
